// SPDX-License-Identifier: MIT
// What the user does, and the start.
"use strict";

const PHRASES = ["The tide is in.", "Anyone near the reef?", "Turning left. All of us.", "Current from the north.",
  "Plankton!", "Deep water ahead.", "Keep together.", "Silver side up."];

function enter(next) {
  if (next === room) return;
  room = next;
  history.replaceState(null, "", "#" + room);
  downSince = backSince = attempts = 0;
  hangUp();
  connect();
  $("title").textContent = "# " + room;
  draw();
  for (const item of $("rooms").children) item.firstChild.setAttribute("aria-current", item.dataset.room === room);
  $("text").focus();
}

$("composer").onsubmit = event => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text) say(text);
  $("text").value = "";
  atEnd = true;
  $("log").scrollTop = $("log").scrollHeight;
};

$("text").onkeydown = event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
};

$("kill").onclick = () => {
  killed = worker;
  send({type: "kill"});
};

$("start-job").onclick = startJob;

let traffic = 0;
$("traffic").onchange = ({target}) => {
  clearInterval(traffic);
  $("log").setAttribute("aria-live", target.checked ? "off" : "polite");
  if (target.checked) traffic = setInterval(() => say(pick(PHRASES)), 50);
};

$("name").onchange = ({target}) => {
  name = target.value = target.value.trim() || name;
  store("name", name);
  hangUp();
  connect();
};

$("theme").onclick = () => {
  const root = document.documentElement;
  const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  store("theme", root.dataset.theme = (root.dataset.theme ?? preferred) === "dark" ? "light" : "dark");
};

function showEngine(shown) {
  $("engine").classList.toggle("shown", shown);
  $("open-engine").setAttribute("aria-expanded", shown);
  $(shown ? "close-engine" : "open-engine").focus();
}
$("open-engine").onclick = () => showEngine(true);
$("close-engine").onclick = () => showEngine(false);

$("newest").onclick = () => { $("log").scrollTop = $("log").scrollHeight; };
let height = 0;             // a scroll that comes from a new size is not the user's
$("log").onscroll = () => {
  if ($("log").clientHeight === height) atEnd = endIsNear();
  $("newest").hidden = atEnd;
};
new ResizeObserver(() => {
  height = $("log").clientHeight;
  if (atEnd) $("log").scrollTop = $("log").scrollHeight;
}).observe($("log"));

document.onkeydown = event => {
  if (event.key === "Escape" && $("engine").classList.contains("shown")) showEngine(false);
  if (event.key === "/" && !event.target.closest("input, textarea")) {
    event.preventDefault();
    $("text").focus();
  }
};

if (stored("theme")) document.documentElement.dataset.theme = stored("theme");
$("name").value = name;
$("title").textContent = "# " + room;
drawRooms(ROOMS, () => 0);
showState();
draw();
connect();
$("text").focus({preventScroll: true});
