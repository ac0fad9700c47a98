/**
 * The contract inside a `.tflite` file, by which one file travels alone; docs/contract.md,
 * "Where it is". The file is not trusted: every offset is checked.
 *
 * A flatbuffer's numbers are little-endian. A table begins with the signed way back to its
 * vtable, which says where in the table its fields are; a reference is the way forward.
 */

const NAME = "KERAS_POSE_CONTRACT";
const IDENTIFIER = "TFL3";
/** Fields of Model, of Metadata and of Buffer (TFLite's schema, version 3). */
const [BUFFERS, METADATA] = [4, 6];
const [META_NAME, META_BUFFER] = [0, 1];
const DATA = 0;
/** Contracts have some thousand bytes. */
const MAX_BYTES = 1 << 20;

/** A file whose offsets do not fit together. */
export class DamagedError extends Error {}

/**
 * Finds the contract's text in a file.
 * @param {Uint8Array} bytes
 * @returns {{start: number, length: number} | null} null for a file without one.
 * @throws {DamagedError} if offsets of the file lead outside.
 */
export function findText(bytes) {
  if (bytes.length < 8 || ascii(bytes.subarray(4, 8)) !== IDENTIFIER) return null;
  const reader = new Reader(bytes);
  const root = reader.follow(0);
  for (const entry of reader.tables(root, METADATA)) {
    if (reader.text(entry, META_NAME) !== NAME) continue;
    const position = reader.field(entry, META_BUFFER);
    const number = position === null ? 0 : reader.unsigned(position);
    const buffer = reader.tables(root, BUFFERS)[number];
    if (buffer === undefined) throw new DamagedError(`buffer ${number} is not there`);
    const found = reader.vector(buffer, DATA, 1);
    if (found.length > MAX_BYTES) throw new DamagedError(`a contract of ${found.length} bytes`);
    return found;
  }
  return null;
}

/**
 * Returns a copy of a file in which some bytes are zeros: what the hash inside is of.
 * @param {Uint8Array} bytes
 * @param {{start: number, length: number}} text
 */
export function withoutText(bytes, { start, length }) {
  return bytes.slice().fill(0, start, start + length);
}

/** A buffer; positions count from its beginning. Its methods throw `DamagedError`. */
class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.bytes = bytes;
  }

  /**
   * @param {number} position
   * @param {number} size
   */
  check(position, size) {
    if (position >= 0 && position + size <= this.bytes.length) return position;
    throw new DamagedError(`${size} bytes at ${position} of ${this.bytes.length}`);
  }

  /** @param {number} position */
  unsigned(position) {
    return this.view.getUint32(this.check(position, 4), true);
  }

  /** @param {number} position */
  short(position) {
    return this.view.getUint16(this.check(position, 2), true);
  }

  /** @param {number} position of a reference. */
  follow(position) {
    return position + this.unsigned(position);
  }

  /**
   * @param {number} table
   * @param {number} index
   * @returns {number | null} where the field is; null where it is left out.
   */
  field(table, index) {
    const vtable = table - this.view.getInt32(this.check(table, 4), true);
    const slot = 4 + 2 * index;
    if (slot + 2 > this.short(vtable)) return null;
    const offset = this.short(vtable + slot);
    return offset ? table + offset : null;
  }

  /**
   * @param {number} table
   * @param {number} index of a field that is a vector, or a string.
   * @param {number} itemSize bytes.
   * @returns {{start: number, length: number}} length 0 where it is left out.
   */
  vector(table, index, itemSize) {
    const position = this.field(table, index);
    if (position === null) return { start: 0, length: 0 };
    const start = this.follow(position);
    const length = this.unsigned(start);
    return { start: this.check(start + 4, length * itemSize), length };
  }

  /**
   * @param {number} table
   * @param {number} index of a field that is a vector of tables.
   * @returns {number[]}
   */
  tables(table, index) {
    const { start, length } = this.vector(table, index, 4);
    return Array.from({ length }, (_, i) => this.follow(start + 4 * i));
  }

  /**
   * @param {number} table
   * @param {number} index
   */
  text(table, index) {
    const { start, length } = this.vector(table, index, 1);
    return ascii(this.bytes.subarray(start, start + Math.min(length, 2 * NAME.length)));
  }
}

/** @param {Uint8Array} bytes */
function ascii(bytes) {
  return String.fromCharCode(...bytes);
}
