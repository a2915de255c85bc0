// SPDX-License-Identifier: MIT
// What this tab knows, and how it talks to whichever worker serves it. A message stays pending, and is sent again after
// each reconnection, until it is acknowledged. The position of the last message seen names where to go on.
"use strict";

const ROOMS = ["lobby", "engineering", "random"];
const $ = id => document.getElementById(id);

const client = [...crypto.getRandomValues(new Uint32Array(2))].map(word => word.toString(16)).join("");
let name = stored("name") || pick(["Quiet", "Swift", "Amber", "Polar", "Coral", "Misty", "Bold", "Lucky"]) + " "
  + pick(["Otter", "Heron", "Seal", "Tern", "Orca", "Crab", "Ray", "Gull"]);
let room = ROOMS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "lobby";

let socket = null;
let greeted = null;         // the socket whose worker has said hello
let worker = null;          // the last one's pid
let killed = 0;             // the one that this tab killed
let downSince = 0;
let backSince = 0;          // what is older than that, and new here, was missed meanwhile
let attempts = 0;
let crowded = 0;            // how often a worker said that another has fewer tabs
let jobsPosition = null;    // of the last job event seen

const rooms = new Map();
const jobs = new Map();     // job -> its last event
const askedJobs = new Set();
const totals = {received: 0, acked: 0, duplicates: 0, lost: 0, resent: 0, caught: 0, back: null};

function here() {
  if (!rooms.has(room)) rooms.set(room, {
    position: null,         // of the last message seen here
    next: 1,                // the number of my next message
    pending: new Map(),     // mine: number -> text, not acknowledged
    waiting: new Map(),     // mine: number -> message, not come back through the room
    lastOf: new Map(),      // sender -> the number of its last message seen
    lines: [],              // what is shown: {body} or {notice, bad}
  });
  return rooms.get(room);
}

/* ---- the connection ---- */

function connect() {
  const query = new URLSearchParams({client, name});
  if (crowded < 30 && !worker) query.set("spread", "1");
  if (here().position) query.set("since", here().position);
  if (jobsPosition) query.set("jobs_since", jobsPosition);
  const mine = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws/${room}?${query}`);
  socket = mine;
  mine.onmessage = event => { if (mine === socket) receive(JSON.parse(event.data)); };
  mine.onclose = ({code}) => { if (mine === socket) comeBack(code); };
}

function comeBack(code) {
  const mine = socket;
  const again = pause => setTimeout(() => mine === socket && connect(), pause);
  if (code === 4000) return again(15 * Math.random() * ++crowded);
  downSince ||= performance.now();
  showState();
  again(Math.min(1500, 40 * 2 ** attempts++));
}

function hangUp() {
  const old = socket;
  socket = null;
  old?.close();
}

/* Until the worker has said hello and got what is not acknowledged, nothing new may go: the order would be lost. */
function send(request) {
  if (socket && greeted === socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
}

function say(text) {
  const state = here(), number = state.next++;
  state.pending.set(number, text);
  state.waiting.set(number, {client, number, name, text, time: Date.now() / 1000});
  send({type: "say", number, text});
  schedule();
}

function startJob() {
  const job = Math.random().toString(36).slice(2, 6);
  askedJobs.add(job);
  send({type: "job", job});
}

/* ---- what a worker says ---- */

function receive(event) { on[event.type]?.(event); }

const on = {
  hello({worker: pid}) {
    const before = worker, pending = here().pending;
    worker = pid;
    greeted = socket;
    attempts = 0;
    for (const [number, text] of pending) send({type: "say", number, text});
    for (const job of askedJobs) send({type: "job", job});
    if (downSince) {
      const caughtBefore = totals.caught, resent = pending.size, took = performance.now() - downSince;
      totals.back = took;
      totals.resent += resent;
      downSince = 0;
      backSince = Date.now() / 1000;
      setTimeout(() => announce(`Worker ${before} ${killed === before ? "was killed" : "is gone"}. Back on worker `
        + `${pid} after ${Math.round(took)} ms: ${totals.caught - caughtBefore} missed messages came by position, `
        + `${resent} sent again.`), 350);
    }
    showState();
    schedule();
  },

  room({position, body}) {
    const state = here(), last = state.lastOf.get(body.client) ?? null;
    count(state, position, last, body);
    state.position = position;
    if (last !== null && body.number <= last) return;
    state.lastOf.set(body.client, body.number);
    if (body.client === client) state.waiting.delete(body.number);
    state.lines.push({body});
    schedule();
  },

  jobs({position, body}) {
    jobsPosition = position;
    askedJobs.delete(body.job);
    const old = jobs.get(body.job);
    if (old && old.run > body.run) return;  // the last words of a run that died
    const again = old && old.run < body.run ? Math.max(0, body.start - old.time) : old?.again;
    jobs.set(body.job, {...body, again});
    schedule();
  },

  ack({number}) {
    if (here().pending.delete(number)) totals.acked++;
    schedule();
  },

  queued({job}) { askedJobs.delete(job); },

  gap({of, missed}) {
    if (of !== "room") return;
    here().position = null;  // what is counted here must not be counted from the positions once more
    here().lastOf.clear();
    totals.lost += missed ?? 1;
    notice(missed === null ? "The room's history began anew: what was missed is not known."
      : `${missed} messages are gone from the room's history.`, true);
  },

  presence({workers, people}) { showPresence(workers, people); },
};

/* Lost is what the positions or a sender's numbers leave out; twice is what they repeat. */
function count(state, position, last, body) {
  const [age, sequence] = position.split("-").map(Number);
  const [oldAge, oldSequence] = (state.position ?? "").split("-").map(Number);
  const byPosition = age === oldAge ? sequence - oldSequence - 1 : 0;
  const byNumber = last === null ? 0 : body.number - last - 1;
  totals.received++;
  if (byPosition < 0 || byNumber < 0) totals.duplicates++;
  totals.lost += Math.max(0, byPosition, byNumber);
  if (body.time < backSince) totals.caught++;
}

/* ---- small things ---- */

function pick(list) { return list[Math.floor(Math.random() * list.length)]; }

function stored(key) {
  try { return localStorage.getItem("shoal-" + key); } catch { return null; }
}

function store(key, value) {
  try { localStorage.setItem("shoal-" + key, value); } catch { /* then only for this visit */ }
}
