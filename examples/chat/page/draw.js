// SPDX-License-Identifier: MIT
// Everything that is shown, drawn at most once a frame from what chat.js knows.
"use strict";

const KEPT_LINES = 400, SHOWN_JOBS = 4;
const NEAR = 60;            // pixels from the end that still count as the end

let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  const later = document.hidden ? callback => setTimeout(callback, 100) : requestAnimationFrame;
  later(() => { scheduled = false; draw(); });
}

function draw() {
  drawLog();
  drawJobs();
  drawTotals();
}

/* ---- the conversation ---- */

let atEnd = true;           // whether the newest line is to stay in sight
let drawnRoom = null, drawnLines = 0;  // whose lines are on screen, and how many of them

function drawLog() {
  const log = $("log"), state = here();
  if (drawnRoom !== state) {
    log.replaceChildren();
    [drawnRoom, drawnLines, atEnd] = [state, 0, true];
  }
  log.querySelectorAll(".pending, .empty").forEach(line => line.remove());
  for (const line of state.lines.slice(drawnLines).slice(-KEPT_LINES)) {
    log.append(line.notice ? noticeLine(line) : messageLine(line.body, log.lastElementChild));
  }
  if (state.lines.length > 2 * KEPT_LINES) state.lines.splice(0, state.lines.length - KEPT_LINES);
  drawnLines = state.lines.length;
  while (log.childElementCount > KEPT_LINES) log.firstElementChild.remove();
  for (const body of [...state.waiting.values()].slice(-20)) log.append(messageLine(body, log.lastElementChild, true));
  if (!log.childElementCount) log.append(emptyRoom());
  if (atEnd) log.scrollTop = log.scrollHeight;
  $("newest").hidden = atEnd || endIsNear();
}

function endIsNear() { return $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < NEAR; }

function messageLine(body, before, pending = false) {
  const mine = body.client === client;
  const follows = before?.dataset.client === body.client && body.time - before.dataset.time < 90;
  const classes = ["message", mine && "mine", follows && "follows", pending && "pending"];
  const line = el("div", {className: classes.filter(Boolean).join(" ")},
    avatar(body),
    el("div", {className: "content"},
      el("div", {className: "by"}, el("b", {}, mine ? "You" : body.name), el("time", {}, clock(body.time))),
      el("div", {className: "bubble"}, body.text)));
  Object.assign(line.dataset, {client: body.client, time: body.time});
  return line;
}

function noticeLine({notice: text, bad}) { return el("div", {className: bad ? "notice bad" : "notice"}, text); }

function emptyRoom() {
  return el("div", {className: "empty"},
    el("strong", {}, `Nothing in #${room} yet`),
    el("span", {}, "Write something, then open this page in a second tab: another worker will serve it, and the "
      + "message is there too."));
}

function notice(text, bad = false) {
  here().lines.push({notice: text, bad});
  schedule();
}

let bannerTimer = 0;
function announce(text) {
  notice(text);
  $("banner").textContent = text;
  $("banner").hidden = false;
  clearTimeout(bannerTimer);
  bannerTimer = setTimeout(() => { $("banner").hidden = true; }, 9000);
}

/* ---- jobs ---- */

function drawJobs() {
  const list = $("jobs"), shown = [...jobs.values()].sort((a, b) => b.start - a.start).slice(0, SHOWN_JOBS);
  const rows = new Map([...list.children].map(row => [row.dataset.job, row]));
  $("no-jobs").hidden = shown.length > 0;
  for (const [job, row] of rows) if (!shown.some(each => each.job === job)) row.remove();
  for (const job of shown) drawJob(rows.get(job.job) ?? list.appendChild(jobRow(job)), job);
}

function drawJob(row, job) {
  const done = job.done === job.of, percent = Math.floor(100 * job.done / job.of);
  const again = job.again === undefined ? "" : `, again after ${job.again.toFixed(2)} s`;
  row.className = ["job", done && "done", job.run > 1 && "again"].filter(Boolean).join(" ");
  row.querySelector("progress").value = percent;
  row.querySelector(".percent").textContent = percent + " %";
  row.querySelector(".where").textContent =
    `${done ? "done by" : "runs in"} pid ${job.pid}` + (job.run > 1 ? `, run ${job.run}${again}` : "");
  row.querySelector("button").hidden = done;
}

function jobRow({job, name: by}) {
  const kill = el("button", {className: "danger", onclick: () => send({type: "kill-task", group: jobs.get(job).group})},
    "kill -9");
  kill.setAttribute("aria-label", `Kill the Celery worker that runs job ${job}`);
  const bar = el("progress", {max: 100, value: 0});
  bar.setAttribute("aria-label", `Job ${job}`);
  const row = el("li", {},
    el("div", {}, el("b", {}, `Job ${job}`), el("span", {}, `for ${by}`), el("span", {className: "percent mono"})),
    bar,
    el("div", {}, el("span", {className: "where"}), kill));
  row.dataset.job = job;
  return row;
}

/* ---- workers and people ---- */

const fleet = new Map();    // pid -> when it was missed first, 0 while it lives

function showPresence(workers, people) {
  drawFleet(new Set(workers.map(({pid}) => pid)), people);
  $("tagline").textContent = `${workers.length} uvicorn workers, one shared-memory segment, no server in the middle`;
  const inRoom = people.filter(person => person.room === room);
  $("people-count").textContent = inRoom.length;
  $("people").replaceChildren(...inRoom.map(person => el("li", {},
    avatar(person),
    el("div", {className: "who"},
      el("b", {}, person.name + (person.client === client ? " (you)" : "")),
      el("small", {className: "mono"}, `worker ${person.worker}`)))));
  const names = [...new Set([...ROOMS, ...people.map(person => person.room)])];
  drawRooms(names, each => people.filter(person => person.room === each).length);
}

function drawFleet(alive, people) {
  for (const pid of alive) fleet.set(pid, 0);
  for (const [pid, gone] of fleet) {
    if (!alive.has(pid) && !gone) fleet.set(pid, Date.now());
    if (gone && Date.now() - gone > 6000) fleet.delete(pid);
  }
  $("fleet").replaceChildren(...[...fleet].map(([pid, gone]) => {
    const tabs = people.filter(person => person.worker === pid).length;
    const state = gone ? "gone" : pid === worker ? "mine" : "";
    return el("li", {className: state, style: `--hue:${hue(pid)}`},
      el("span", {className: "dot"}),
      el("span", {className: "mono"}, String(pid)),
      el("small", {}, gone ? "gone" : tabs === 1 ? "1 tab" : `${tabs} tabs`));
  }));
}

function drawRooms(names, inside) {
  const shown = [...$("rooms").children].map(item => item.dataset.room);
  if (shown.join() !== names.join()) $("rooms").replaceChildren(...names.map(roomItem));
  for (const item of $("rooms").children) {
    item.firstChild.setAttribute("aria-current", item.dataset.room === room);
    item.querySelector(".count").textContent = inside(item.dataset.room) || "";
  }
}

function roomItem(each) {
  const item = el("li", {}, el("button", {onclick: () => enter(each)},
    el("span", {}, `# ${each}`), el("span", {className: "count mono"})));
  item.dataset.room = each;
  return item;
}

function showState() {
  const up = worker && !downSince;
  $("state").dataset.state = up ? "up" : "down";
  $("state").textContent = up ? `connected to worker ${worker}` : worker ? "reconnecting" : "connecting";
  $("worker").textContent = up ? worker : "–";
  $("worker-box").style.setProperty("--hue", hue(worker ?? 0));
  $("kill").disabled = !up;
}

function drawTotals() {
  for (const key of ["received", "acked", "duplicates", "lost", "resent", "caught"]) {
    $(key).textContent = totals[key].toLocaleString("en");
  }
  $("back").textContent = totals.back === null ? "–" : Math.round(totals.back) + " ms";
  $("lost-box").classList.toggle("bad", totals.lost + totals.duplicates > 0);
}

/* ---- small things ---- */

function el(tag, {style, ...properties}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (style) element.style.cssText = style;
  element.append(...children);
  return element;
}

function avatar({client: who, name: called}) {
  const initials = called.split(/\s+/).map(word => word[0] ?? "").join("").slice(0, 2).toUpperCase();
  return el("span", {className: "avatar", ariaHidden: "true", style: `--hue:${hue(who)}`}, initials);
}

function hue(key) {
  let value = 7;
  for (const letter of String(key)) value = (value * 31 + letter.charCodeAt(0) * 47) % 360;
  return value;
}

function clock(time) { return new Date(time * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"}); }
