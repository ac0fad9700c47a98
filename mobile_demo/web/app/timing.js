/** Frames per second, and what the stages of a frame cost. */

const FRAMES = 30;

/** Counts frames over the last of them. */
export class RateMeter {
  constructor() {
    /** @type {number[]} */
    this.times = [];
  }

  reset() {
    this.times = [];
  }

  /**
   * @param {number} milliseconds when a frame was shown.
   * @returns {string} such as "24.9 fps".
   */
  add(milliseconds) {
    this.times = [...this.times, milliseconds].slice(-FRAMES);
    const elapsed = milliseconds - this.times[0];
    return elapsed > 0 ? `${((1000 * (this.times.length - 1)) / elapsed).toFixed(1)} fps` : "";
  }
}

/** Shows the mean milliseconds per frame of every stage. */
export class StageTable {
  /** @param {HTMLElement} table */
  constructor(table) {
    this.table = table;
    /** @type {Record<string, number>[]} */
    this.frames = [];
  }

  reset() {
    this.frames = [];
    this.table.hidden = true;
  }

  /** @param {Record<string, number>} stages milliseconds of one frame. */
  add(stages) {
    this.frames = [...this.frames, stages].slice(-FRAMES);
    const means = this.means();
    const [head, body] = this.table.querySelectorAll("tr");
    head.replaceChildren(...Object.keys(means).map((name) => cell("th", name)));
    body.replaceChildren(...Object.values(means).map((mean) => cell("td", mean.toFixed(1))));
    this.table.hidden = false;
  }

  /** @returns {Record<string, number>} */
  means() {
    const names = new Set(this.frames.flatMap((stages) => Object.keys(stages)));
    // A stage that a frame did without cost it nothing.
    const mean = (/** @type {string} */ name) =>
      this.frames.reduce((sum, stages) => sum + (stages[name] ?? 0), 0) / this.frames.length;
    return Object.fromEntries([...names].map((name) => [name, mean(name)]));
  }
}

/**
 * @param {string} tag
 * @param {string} text
 */
function cell(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
