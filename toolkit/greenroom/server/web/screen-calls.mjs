// Calls: what rings, what we placed, what we missed, and the wait for an answer.

import { $, drawList, element, icon, setHidden, setIcon, setText } from "./dom.mjs";
import { initials, titleWords } from "./rows.mjs";
import { sentence } from "./connection.mjs";
import { incomingRows, missedRows, outgoingRows, waitingRow } from "./ring-rows.mjs";

const MISSED_SHOWN = 3;
const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });

/** Draw the calls above the room. `calls` is what can be done about them. */
export function drawCalls(state, calls) {
  const incoming = incomingRows(state.rings, state.me);
  const outgoing = outgoingRows(state.rings, state.me).filter(({ cid }) => !(state.phase === "calling" && cid === state.cid));
  const missed = missedRows(state.rings).slice(0, MISSED_SHOWN);
  const leaving = consequence(state);
  const silenced = incoming.length > 0 && incoming.every(({ id }) => state.silenced.includes(id));
  drawList($("incoming"), incoming, ({ id }) => id, (row) => createIncoming(row, calls), (item, row) => updateIncoming(item, row, leaving, silenced));
  drawList($("outgoing"), outgoing, ({ id }) => id, (row) => createOutgoing(row, calls), updateOutgoing);
  drawList($("missed"), missed, ({ key }) => key, (row) => createMissed(row, calls), (item) => setHidden(item.querySelector(".back"), !state.roams));
  setHidden($("calls"), incoming.length + outgoing.length + missed.length === 0);
}

/** Draw the wait for an answer; `inside`: it is over, the room shows. */
export function drawCalling(state, inside) {
  const waits = state.phase === "calling" || (state.phase === "joining" && state.talk && !inside);
  const card = $("calling");
  const began = card.hidden && waits;
  setHidden(card, !waits);
  if (!waits) return;
  const { name, words, people } = waitingRow(state);
  setText($("calling-initials"), initials(name));
  setText($("calling-words"), state.asking ? "Your browser asks for your microphone…" : words);
  setText($("calling-people"), people.map(sentence).join(" "));
  setHidden($("hang-up"), state.phase !== "calling");
  if (began) setTimeout(() => $("calling-words").focus());
}

function consequence(state) {
  if (state.phase === "calling") return "Accepting gives up the call you placed.";
  return state.phase === "joined" ? `Accepting leaves ${titleWords(state)}.` : "";
}

const button = (className, ariaLabel, onclick, ...children) =>
  element("button", { type: "button", className, ariaLabel, onclick }, ...children);

function createIncoming({ id, cid, caller }, calls) {
  const words = `call-${id}`;
  const silencing = ({ currentTarget }) => calls.silence(currentTarget.ariaPressed !== "true");
  const accept = button("primary", `Accept the call from ${caller}`, () => calls.accept(cid), icon("phone"), "Accept");
  const decline = button("decline", `Decline the call from ${caller}`, () => calls.decline(cid), "Decline");
  const silence = button("small silence", "Silence the ringing", silencing, icon("bell"));
  accept.setAttribute("aria-keyshortcuts", "Alt+Shift+A");
  decline.setAttribute("aria-keyshortcuts", "Alt+Shift+D");
  const item = element(
    "li",
    {},
    element("div", { className: "sign", ariaHidden: "true" }, icon("phone")),
    element("div", { className: "words", id: words }, element("b"), element("span")),
    element("div", { className: "row", role: "group" }, accept, decline, silence),
  );
  item.lastElementChild.setAttribute("aria-labelledby", words);
  return item;
}

function updateIncoming(item, row, leaving, silenced) {
  const details = [row.others && sentence(row.others), leaving].filter(Boolean).join(" ");
  setText(item.querySelector("b"), row.words);
  setText(item.querySelector(".words span"), details);
  setHidden(item.querySelector(".words span"), details === "");
  const silence = item.querySelector(".silence");
  silence.ariaPressed = String(silenced);
  setIcon(silence.firstElementChild, silenced ? "bell-off" : "bell");
}

function createOutgoing({ cid }, calls) {
  return element(
    "li",
    {},
    element("div", { className: "sign", ariaHidden: "true" }, icon("phone")),
    element("div", { className: "words" }, element("b"), element("span")),
    button("decline", "", () => calls.cancel(cid), "Cancel"),
  );
}

function updateOutgoing(item, { words, people }) {
  setText(item.querySelector("b"), sentence(words));
  setText(item.querySelector("span"), people.join(" · "));
  item.lastElementChild.ariaLabel = `Cancel: ${words}`;
}

function createMissed({ caller, words, at, call }, calls) {
  const what = element("b", { textContent: sentence(words).slice(0, -1) });
  const when = element("span", { textContent: CLOCK.format(at * 1000) });
  return element(
    "li",
    {},
    element("div", { className: "sign", ariaHidden: "true" }, icon("phone-down")),
    element("div", { className: "words" }, what, when),
    button("back", `Call ${caller} back`, () => calls.callBack(call), "Call back"),
    button("small", `Dismiss: ${words}`, () => calls.dismiss(call), icon("close")),
  );
}
