// Videos: sent to be translated with word of how far they are, and shown before and after in step.

import { ask, el, Refused } from "/static/parts.js";

export const VIDEO = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|ts|mts|m2ts|wmv|flv|3gp|ogv)$/i;

export const endingOf = (name) => name.split(".").pop().toLowerCase();

// Returns { blob, format }; calls note(done, total) as the frames go by. The answer is lines of JSON, then the file.
export async function translateVideo(body, signal, note) {
  const answer = await ask("/api/video", { method: "POST", body, signal });
  const reader = answer.body.getReader();
  const pieces = [];
  let head = "", told = null, size = 0;
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    let piece = value;
    while (told === null && piece.length) {
      const end = piece.indexOf(10);
      head += decoder.decode(piece.subarray(0, end < 0 ? piece.length : end));
      piece = end < 0 ? piece.subarray(piece.length) : piece.subarray(end + 1);
      if (end < 0) break;
      const line = JSON.parse(head);
      head = "";
      if (line.error) throw new Refused(line.error, 422);
      if (line.bytes) told = line;
      else note(line.done, line.total);
    }
    pieces.push(piece);
    size += piece.length;
  }
  if (!told || size !== told.bytes) throw new Refused("The server has stopped before the video was done.", 0);
  const kind = { webm: "video/webm", mkv: "video/x-matroska", mov: "video/quicktime" }[told.format] || "video/mp4";
  return { blob: new Blob(pieces, { type: kind }), format: told.format };
}

// The result with controls, and its original, which does the same.
export function videoPair(before, after, name) {
  const source = el("video", { src: before, muted: true, playsInline: true, preload: "auto", ariaLabel: `${name}, before` });
  const result = el("video", { src: after, controls: true, loop: true, playsInline: true, preload: "auto", ariaLabel: `${name}, after` });
  const follow = () => { if (Math.abs(source.currentTime - result.currentTime) > 0.05) source.currentTime = result.currentTime; };
  result.addEventListener("play", () => { follow(); source.play().catch(() => {}); });
  result.addEventListener("pause", () => { source.pause(); follow(); });
  result.addEventListener("seeked", follow);
  result.addEventListener("ratechange", () => { source.playbackRate = result.playbackRate; });
  const box = el("div", { class: "films" }, el("figure", {}, source, el("figcaption", {}, "before")), el("figure", {}, result, el("figcaption", {}, "after")));
  source.addEventListener("error", () => source.parentElement.remove());
  result.addEventListener("error", () => box.replaceChildren(el("p", { class: "soft" }, "This browser cannot play it: download it.")));
  return box;
}
