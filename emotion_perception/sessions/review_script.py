# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the review page does: shows an item, plays its pictures, sends answers."""

from __future__ import annotations

from typing import Final

SCRIPT: Final = r""""use strict";

// The token has done its work; it need not stay in the address and the history.
history.replaceState(null, "", "/");

const SECRET = document.querySelector("meta[name=secret]").content;
const ANSWERS = {r: "right", w: "wrong", n: "negative", e: "neutral", p: "positive", u: "unsure"};
const SVG = "http://www.w3.org/2000/svg";
const LONGEST_WAIT = 1000;  // ms between two pictures, where part of a recording is missing
const at = (id) => document.getElementById(id);

let state = null;
let item = null;       // what is shown, null at the end
let past = [];         // indices shown before
let skipped = new Set();
let shownAt = 0;       // when the pictures were there
let busy = true;
let timer = 0;
let clips = new Map();  // index -> promise of {times, why, frames, faces}

async function ask(url, body) {
  const how = body === undefined ? {} : {
    method: "POST", body: JSON.stringify(body),
    headers: {"Content-Type": "application/json", "X-Review-Secret": SECRET},
  };
  let reply;
  try {
    reply = await fetch(url, {...how, cache: "no-store", credentials: "same-origin"});
  } catch {
    throw new Error("No reply: has emotion-perception review ended? Start it again.");
  }
  if (!reply.ok) throw new Error((await reply.text()).trim());
  return reply.json();
}

function tell(error) {
  at("problem").textContent = error ? error.message : "";
  at("problem").hidden = !error;
}

function make(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function draw(name, values, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = (tenths % 600) / 10;
  return Math.floor(tenths / 600) + ":" + (rest < 10 ? "0" : "") + rest.toFixed(1);
}

// ---- pictures

function picture(url, alt) {
  const image = new Image();
  image.alt = alt;
  const loaded = new Promise((done) => { image.onload = image.onerror = done; });
  image.src = url;
  return {image, loaded};
}

function clipOf(index) {
  if (!clips.has(index)) {
    clips.set(index, loadClip(index).catch((error) => { clips.delete(index); throw error; }));
    for (const other of clips.keys()) if (clips.size > 4) clips.delete(other);  // the oldest
  }
  return clips.get(index);
}

async function loadClip(index) {
  const clip = await ask("clip/" + index);
  const all = {frame: [], face: []};
  for (let k = 0; k < clip.times.length; k++) {
    all.face.push(picture(`picture/${index}/${k}/face`, "the face at " + clock(clip.times[k])));
    all.frame.push(picture(`picture/${index}/${k}/frame`, "the frame at " + clock(clip.times[k])));
  }
  await Promise.all([...all.face, ...all.frame].map((one) => one.loaded));
  return {times: clip.times, why: clip.why, faces: all.face.map((one) => one.image),
          frames: all.frame.map((one) => one.image)};
}

function stopPlaying() {
  clearTimeout(timer);
  timer = 0;
}

async function play() {
  stopPlaying();
  if (!item || !state.pictures) return;
  const mine = item.index;
  const clip = await clipOf(mine);
  if (!item || item.index !== mine) return;
  stopPlaying();
  const step = (k) => {
    at("face").firstElementChild.replaceChildren(clip.faces[k]);
    at("frame").firstElementChild.replaceChildren(clip.frames[k]);
    at("clock").textContent = "the frame at " + clock(clip.times[k]);
    mark(clip.times[k]);
    if (k + 1 < clip.times.length) {
      const wait = 1000 * (clip.times[k + 1] - clip.times[k]);
      timer = setTimeout(step, Math.min(wait, LONGEST_WAIT), k + 1);
    }
  };
  if (clip.times.length) step(0);
  else at("clock").textContent = clip.why;
}

// ---- what the model said

function showSaid() {
  const lines = [], details = [];
  for (const said of item.said || []) {
    const line = make("p", state.several ? `Model ${said.model} said ` : "The model said ");
    lines.push(line);
    if (said.probabilities === null) {
      line.append("nothing here");
      continue;
    }
    line.append(make("span", said.answer, "answer " + said.answer));
    if (!said.sure) line.append(" (not sure enough to count)");
    if (state.several) details.push(make("p", said.model));
    details.push(bars(said.probabilities));
  }
  if (!item.said) {
    lines.push(make("p", "What the model said is hidden until you have answered.", "note"));
  }
  at("answers").replaceChildren(...lines);
  at("said").replaceChildren(...details);
}

function bars(probabilities) {
  const table = make("table");
  ["negative", "neutral", "positive"].forEach((name, index) => {
    const row = make("tr");
    const bar = make("td", undefined, "bar " + name);
    const svg = draw("svg", {viewBox: "0 0 100 8", preserveAspectRatio: "none",
                             "aria-hidden": "true"});
    draw("rect", {x: 0, y: 0, width: 100 * probabilities[index], height: 8}, svg);
    bar.append(svg);
    const number = Math.round(100 * probabilities[index]) + " %";
    row.append(make("th", name), bar, make("td", number, "number"));
    table.append(row);
  });
  return table;
}

let span = [0, 1];
const across = (time) => 30 + 364 * (time - span[0]) / (span[1] - span[0]);
const upward = (value) => 52 - 40 * value;

function showLine() {
  const line = item.line;
  at("line").hidden = !line || line.length < 2;
  if (at("line").hidden) return;
  span = [line[0][0], line[line.length - 1][0]];
  const svg = draw("svg", {viewBox: "0 0 400 120", role: "img",
                           "aria-label": "valence over time"});
  const [left, right] = [item.onset, item.offset].map(
    (time) => across(Math.min(Math.max(time, span[0]), span[1])));
  draw("rect", {x: left - 1, y: 8, width: right - left + 2, height: 88}, svg);
  draw("line", {x1: 30, x2: 394, y1: upward(0), y2: upward(0), "class": "zero"}, svg);
  let path = "", pen = "M";
  for (const [time, value] of line) {
    if (value === null) { pen = "M"; continue; }
    path += `${pen}${across(time).toFixed(1)} ${upward(value).toFixed(1)}`;
    pen = "L";
  }
  draw("path", {d: path || "M0 0", "class": "value"}, svg);
  draw("line", {id: "now", "class": "now", x1: -9, x2: -9, y1: 8, y2: 96}, svg);
  const label = (x, y, text, anchor) => {
    draw("text", {x, y, "text-anchor": anchor}, svg).textContent = text;
  };
  label(25, upward(1) + 5, "+1", "end");
  label(25, upward(-1) + 5, "−1", "end");
  label(30, 114, clock(span[0]), "start");
  label(394, 114, clock(span[1]), "end");
  at("line").firstElementChild.replaceChildren(svg);
}

function mark(time) {
  const now = at("now");
  if (!now) return;
  const inside = time >= span[0] && time <= span[1];
  now.setAttribute("x1", inside ? across(time) : -9);
  now.setAttribute("x2", inside ? across(time) : -9);
}

// ---- showing an item

function titleOf() {
  const who = item.face_id ? ", face " + item.face_id : "";
  if (item.kind === "frame") return `Frame ${item.frame} at ${clock(item.time)}${who}`;
  const length = (item.offset - item.onset).toFixed(1);
  return `Event from ${clock(item.onset)} to ${clock(item.offset)} (${length} s)${who}`;
}

function ratingText() {
  if (!item.rating) return "";
  const {label, verdict} = item.rating;
  if (verdict === "wrong" && !label) {
    return "Wrong. What was it: n, e or p? Or s to go on.";
  }
  const words = label || "can't tell";
  return "Your answer: " + words + (verdict && verdict !== "unsure" ? ` (model ${verdict})` : "");
}

function showCount() {
  const done = state.answered.filter(Boolean).length;
  at("bar").max = Math.max(1, state.answered.length);
  at("bar").value = done;
  at("count").textContent = `${done} of ${state.answered.length} answered`;
}

function showItem() {
  at("item").hidden = false;
  at("end").hidden = true;
  at("title").textContent = titleOf();
  showSaid();
  showLine();
  at("before").textContent = ratingText();
  const hidden = !item.said;
  for (const button of document.querySelectorAll("#keys button")) {
    const key = button.dataset.key;
    button.disabled = (key === "b" && !past.length) || ("rw".includes(key) && hidden)
      || (key === "m" && !item.may_see);
    if (key in ANSWERS) button.setAttribute("aria-pressed", String(isAnswer(ANSWERS[key])));
  }
  at("show").hidden = !state.blind;
  at("again").hidden = !state.pictures || state.what === "frames";
  document.querySelector(".judge").hidden = hidden;
}

function isAnswer(answer) {
  if (!item.rating) return false;
  const {label, verdict} = item.rating;
  if (answer === "unsure") return !label && verdict !== "wrong";
  return answer === label || answer === verdict;
}

async function go(index, back) {
  stopPlaying();
  if (item && !back) past.push(item.index);
  item = null;
  busy = true;
  for (const figure of document.querySelectorAll(".shown")) figure.replaceChildren();
  at("clock").textContent = "loading";
  item = await ask("item/" + index);
  showItem();
  busy = false;
  shownAt = performance.now();
  if (state.pictures) begin(index).catch(tell);
}

async function begin(index) {
  await play();
  if (!item || item.index !== index) return;
  shownAt = performance.now();
  const next = following(index);  // its pictures are fetched while this one is looked at
  if (next !== null) await clipOf(next).catch(() => {});
}

function following(index) {
  const left = (other) => !state.answered[other] && !skipped.has(other);
  const all = state.answered.map((_, other) => other);
  return all.find((other) => other > index && left(other)) ?? all.find(left) ?? null;
}

async function next(index) {
  const found = following(index);
  if (found !== null) return go(found);
  stopPlaying();
  if (item) past.push(item.index);
  item = null;
  busy = false;
  const open = state.answered.filter((done) => !done).length;
  at("item").hidden = true;
  at("end").hidden = false;
  const none = !state.answered.length;
  at("endtitle").textContent = none ? "Nothing to review"
    : open ? `${open} skipped` : "All answered. Thank you!";
  at("endtext").textContent = none ? `This session has no ${state.what} of this person.`
    : (open ? "Press s to go through what you skipped, b to go back. " : "Press b to go back. ")
      + "Everything is stored; you can close this page and end the program with Ctrl-C.";
  for (const button of document.querySelectorAll("#keys button")) {
    const key = button.dataset.key;
    button.disabled = !(key === "?" || (key === "b" && past.length) || (key === "s" && open));
  }
  return undefined;
}

// ---- keys

async function press(key) {
  if (key === "?") {
    at("help").hidden = !at("help").hidden;
    document.querySelector('[data-key="?"]')
      .setAttribute("aria-expanded", String(!at("help").hidden));
    if (!at("help").hidden) at("help").scrollIntoView();
    return;
  }
  if (busy) return;
  const button = document.querySelector(`#keys button[data-key="${CSS.escape(key)}"]`);
  if (!button || button.disabled || button.hidden) return;
  tell(null);
  if (key === " ") return void await play();
  if (key === "b") return void await go(past.pop(), true);
  if (key === "s") {
    if (item === null) skipped.clear();
    else if (!state.answered[item.index]) skipped.add(item.index);
    return void await next(item === null ? -1 : item.index);
  }
  busy = true;
  try {
    const index = item.index;
    if (key === "m") {
      item = await ask("reveal", {index});
      showItem();
      return;
    }
    const seconds = (performance.now() - shownAt) / 1000;
    item = await ask("answer", {index, answer: ANSWERS[key], seconds});
    state.answered[index] = true;
    skipped.delete(index);
    showCount();
    if (key === "w") showItem();
    else await next(index);
  } finally {
    busy = false;
  }
}

function safely(key) {
  press(key).catch((error) => { busy = false; tell(error); });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const known = document.querySelector(`#keys button[data-key="${CSS.escape(key)}"]`);
  if (!known) return;
  // Who has moved to a button with the tab key presses it with space.
  if (key === " " && document.activeElement.matches("#keys button")) return;
  event.preventDefault();
  safely(key);
});
at("keys").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (event.detail > 0) button.blur();  // after a click of the mouse, space plays again
  safely(button.dataset.key);
});

(async () => {
  state = await ask("state");
  state.several = state.models > 1;
  showCount();
  await next(-1);
})().catch((error) => { busy = false; tell(error); });
"""
