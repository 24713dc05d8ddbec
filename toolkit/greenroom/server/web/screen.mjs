// The page as a whole: which part shows, status, notices, the dock.

import { $, drawList, element, icon, setHidden, setIcon, setText } from "./dom.mjs";
import { callHere } from "./ring-rows.mjs";
import { countWords, mainAction, meter, statusWords, titleWords, wayWords } from "./rows.mjs";
import { drawCalls, drawCalling } from "./screen-calls.mjs";
import { drawChat, drawReactions } from "./screen-chat.mjs";
import { drawStage } from "./screen-stage.mjs";
import { SPEAK } from "./room.mjs";
import { can, invitedBy, roomOf } from "./state.mjs";

const REACT = "create-reaction";

/** Draw `state`. `sound` is a key from `soundState`; `actions` are `request(value)`, `dismiss(id)` and `calls`. */
export function draw(state, sound, now, { request, dismiss, calls }) {
  drawPhase(state);
  drawTop(state, sound, now);
  drawCalls(state, calls);
  drawNotices(state, dismiss);
  if (state.phase === "joined" || state.phase === "joining") {
    drawStage(state, request);
    drawChat(state);
    drawDock(state, sound);
  }
  drawReactions(state);
}

/** The level of one's own microphone, under the button that opens it. */
export function drawMyLevel(dbfs) {
  $("my-meter").style.setProperty("--level", dbfs === null ? "0" : meter(dbfs).toFixed(2));
}

/** Tell a screen reader; `urgent` interrupts. Words that repeat are heard again. */
export function say(text, urgent) {
  const region = $(urgent ? "say-now" : "say-soon");
  region.replaceChildren(...[...region.children].slice(-2), element("p", { textContent: text }));
}

function drawPhase(state) {
  const inside = state.phase === "joined" || (state.phase === "joining" && roomOf(state) !== null);
  document.body.dataset.phase = state.phase;
  setHidden($("door"), inside || state.phase === "left" || state.phase === "calling" || (state.phase === "joining" && state.talk));
  drawCalling(state, inside);
  setHidden($("room"), !inside);
  setHidden($("dock"), !inside);
  const gone = state.phase === "left";
  if ($("gone").hidden === gone) {
    setHidden($("gone"), !gone);
    if (gone) setTimeout(() => $("gone-words").focus());
  }
  setText($("gone-words"), state.left ?? "");
  setHidden($("call-form"), !state.roams || state.connection === "offline");
  const hint = goneHint(state);
  setText($("gone-hint"), hint);
  setHidden($("gone-hint"), hint === "");
  setHidden($("again"), !state.mayReturn && state.home === null);
  setText($("again"), state.home === null ? "Join again" : `Back to ${state.home.title}`);
  setText($("door-problem"), state.doorProblem ?? "");
  $("listen").disabled = state.phase === "joining";
}

function goneHint(state) {
  const reachable = state.reachable && state.connection !== "offline";
  if (reachable && state.roams) return state.cid === null ? "" : "Calls for you still ring here.";
  if (reachable && (state.mayReturn || callHere(state))) return "While this page is open, you can be called back here.";
  return state.mayReturn ? "" : "You can close this page.";
}

function drawTop(state, sound, now) {
  const room = roomOf(state);
  const title = titleWords(state);
  setText($("title"), title);
  const { tone, words } = statusWords(state, sound, now);
  setText($("status"), words);
  $("status").dataset.tone = tone;
  setHidden($("status"), words === "");
  const heading = `${state.connection} ${state.phase} ${sound}`;
  if (words !== "" && $("status").dataset.said !== heading) {
    $("status").dataset.said = heading; // each change once: a countdown is not for a screen reader
    say(words, false);
  }
  setText($("count"), state.phase === "joined" ? countWords(state) : "");
  const way = wayWords(state);
  setText($("way"), way);
  $("way").dataset.way = way;
  setHidden($("way"), way === "");
  setHidden($("live"), room === null || state.phase !== "joined");
  if (room) {
    setText($("live"), room.live ? "live" : "backstage");
    $("live").classList.toggle("backstage", !room.live);
  }
  const turn = can(state, SPEAK) && !state.wish && state.phase === "joined" ? "You may speak · " : "";
  const tab = title === "Greenroom" ? title : `${turn}${title} · Greenroom`;
  if (document.title !== tab) document.title = tab;
}

function drawNotices(state, dismiss) {
  const create = ({ id, text, tone }) =>
    element(
      "li",
      { dataset: { tone } },
      element("span", { textContent: text }),
      element("button", { type: "button", ariaLabel: "Dismiss", onclick: () => dismiss(id) }, icon("close")),
    );
  drawList($("notices"), state.notices, ({ id }) => id, create);
  const inviter = invitedBy(state);
  setHidden($("invitation"), inviter === null);
  if (inviter !== null) setText($("invitation-words"), `${inviter} invites you to speak.`);
}

function drawDock(state, sound) {
  const { what, label, pressed, words } = mainAction(state);
  const button = $("main-action");
  setHidden(button, what === null);
  setText($("main-label"), label);
  setIcon(button.querySelector(".icon"), what === "hand" ? "hand" : pressed ? "mic" : "mic-off");
  button.dataset.what = what ?? "";
  button.dataset.on = String(pressed);
  setText($("main-words"), words);
  setHidden($("reactions"), !can(state, REACT));
  setHidden($("blocked"), sound !== "blocked");
  const call = callHere(state);
  setText($("leave-label"), call !== undefined && call.phase !== "ended" ? "Hang up" : "Leave");
  setHidden($("call-in"), !state.roams || !can(state, SPEAK));
}
