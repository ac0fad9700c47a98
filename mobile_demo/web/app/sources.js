/**
 * Where frames come from: the camera, a video, a picture.
 *
 * @typedef {object} Source
 * @property {CanvasImageSource} element
 * @property {() => {width: number, height: number}} size
 * @property {() => number | null} seconds time of the frame; null for a picture.
 * @property {boolean} isMirrored whether people expect to see themselves as in a mirror.
 * @property {(callback: () => void) => void} onNextFrame
 * @property {() => boolean} isOver
 * @property {() => void} close
 */

/** Why a camera did not open, by the name of the error. */
const CAMERA_ERRORS = {
  NotAllowedError: "This page may not use the camera. Allow it in the browser's settings for this page, then try again.",
  NotFoundError: "No camera was found. Choose a picture or a video instead.",
  NotReadableError: "The camera is in use by another app. Close that app, then try again.",
  OverconstrainedError: "This camera gives no usable picture. Try the other one.",
};

/**
 * Opens a camera.
 * @param {"user" | "environment"} facing
 * @returns {Promise<Source>}
 */
export async function openCamera(facing) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error(
      window.isSecureContext
        ? "This browser gives no access to cameras. Choose a picture or a video instead."
        : "Browsers give cameras only to pages of https or localhost. Start serve.py with --https, or choose a picture.",
    );
  }
  const wish = { facingMode: facing, width: { ideal: 640 }, height: { ideal: 480 } };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: wish, audio: false });
    return await playing(videoElement(stream), mirrors(stream, facing), () => stop(stream));
  } catch (error) {
    const name = /** @type {keyof typeof CAMERA_ERRORS} */ (/** @type {Error} */ (error).name);
    throw new Error(CAMERA_ERRORS[name] ?? `The camera cannot be opened: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * Tells whether a stream shows the user as a mirror should: what the camera says, else
 * what was asked for.
 * @param {MediaStream} stream
 * @param {"user" | "environment"} facing
 */
function mirrors(stream, facing) {
  return (stream.getVideoTracks()[0]?.getSettings().facingMode ?? facing) === "user";
}

/** @param {MediaStream} stream */
function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/**
 * Opens a picture or a video that the user has chosen.
 * @param {File} file
 * @returns {Promise<Source>}
 */
export async function openFile(file) {
  return file.type.startsWith("video/") ? openVideo(file) : openPicture(file);
}

/** @param {File} file */
async function openVideo(file) {
  const url = URL.createObjectURL(file);
  try {
    return await playing(videoElement(url), false, () => URL.revokeObjectURL(url));
  } catch {
    URL.revokeObjectURL(url);
    throw new Error(`This browser cannot play ${file.name}.`);
  }
}

/**
 * @param {File} file
 * @returns {Promise<Source>}
 */
async function openPicture(file) {
  let picture;
  try {
    // Turned as its EXIF orientation says.
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error(`This browser cannot read ${file.name}.`);
  }
  return {
    element: picture,
    size: () => ({ width: picture.width, height: picture.height }),
    seconds: () => null,
    isMirrored: false,
    onNextFrame: () => {},
    isOver: () => true,
    close: () => picture.close(),
  };
}

/** @param {MediaStream | string} source */
function videoElement(source) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true; // else iPhones show videos in their own player
  if (typeof source === "string") video.src = source;
  else video.srcObject = source;
  return video;
}

/**
 * Waits until a video plays.
 * @param {HTMLVideoElement} video
 * @param {boolean} isMirrored
 * @param {() => void} release
 * @returns {Promise<Source>}
 */
async function playing(video, isMirrored, release) {
  await new Promise((resolve, reject) => {
    video.addEventListener("loadeddata", resolve, { once: true });
    video.addEventListener("error", () => reject(new Error("The video cannot be played.")), { once: true });
  });
  await video.play();
  return {
    element: video,
    size: () => ({ width: video.videoWidth, height: video.videoHeight }),
    seconds: () => video.currentTime,
    isMirrored,
    onNextFrame: (callback) => whenNewFrame(video, callback),
    isOver: () => video.ended,
    close: () => {
      video.pause();
      release();
      video.removeAttribute("src");
      video.srcObject = null;
    },
  };
}

/**
 * Calls back once there is a frame that has not been seen, or no more to come; old ones
 * are passed over.
 * @param {HTMLVideoElement} video
 * @param {() => void} callback
 */
function whenNewFrame(video, callback) {
  const once = () => {
    video.removeEventListener("ended", once);
    callback();
  };
  video.addEventListener("ended", once);
  if ("requestVideoFrameCallback" in video && !video.ended) video.requestVideoFrameCallback(once);
  else requestAnimationFrame(once);
}
