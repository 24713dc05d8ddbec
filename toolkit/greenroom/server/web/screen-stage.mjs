// The stage, raised hands and listeners, drawn from rows.

import { $, drawList, element, icon, setHidden, setIcon, setText } from "./dom.mjs";
import { handRows, hue, initials, levelRows, listenerRows, speakerRows } from "./rows.mjs";
import { can, roomOf } from "./state.mjs";

const DECIDE_WHO_SPEAKS = "update-call-permissions";

/** Draw who is here. `request(value)` asks the room for something. */
export function drawStage(state, request) {
  const { rows, more } = speakerRows(state);
  drawList($("speakers"), rows, (row) => row.user, createSpeaker, updateSpeaker);
  const empty = roomOf(state) !== null && rows.length === 0 ? "Nobody is on stage yet." : "";
  setText($("stage-more"), more > 0 ? `and ${more} more` : empty);
  drawHands(state, request);
  drawListeners(state);
}

/** Move the meters and speaking marks; ten times a second, without touching anything else. */
export function drawLevels(state, heard, mine) {
  const levels = levelRows(state, heard, mine);
  for (const item of $("speakers").children) {
    const { level, speaking } = levels.get(Number(item.dataset.number)) ?? { level: 0, speaking: false };
    item.firstElementChild.style.setProperty("--level", level.toFixed(2));
    if (item.classList.contains("speaking") !== speaking) {
      item.classList.toggle("speaking", speaking);
      setText(item.querySelector(".words"), speaking ? "speaking" : item.dataset.words);
    }
  }
}

function createSpeaker(row) {
  const avatar = element(
    "div",
    { className: "avatar", ariaHidden: "true" },
    element("span", { textContent: initials(row.name) }),
    element("span", { className: "badge" }, icon("mic")),
  );
  avatar.style.setProperty("--hue", hue(row.number));
  const tag = element("span", { className: "tag" });
  return element(
    "li",
    {},
    avatar,
    element("div", { className: "name" }, element("span", { className: "who" }), tag),
    element("div", { className: "words" }),
  );
}

function updateSpeaker(item, row) {
  Object.assign(item.dataset, { number: row.number, words: row.words });
  item.classList.toggle("open", row.open);
  setText(item.querySelector(".avatar > span"), initials(row.name));
  setIcon(item.querySelector(".badge .icon"), row.open ? "mic" : "mic-off");
  setText(item.querySelector(".who"), row.name);
  const tag = item.querySelector(".tag");
  setText(tag, row.mine ? "you" : row.role);
  setHidden(tag, !row.mine && !row.role);
  if (!row.open) item.classList.remove("speaking");
  setText(item.querySelector(".words"), item.classList.contains("speaking") ? "speaking" : row.words);
}

function drawHands(state, request) {
  const rows = handRows(state);
  const deciding = can(state, DECIDE_WHO_SPEAKS);
  setHidden($("hands-section"), rows.length === 0);
  const create = ({ user, name }) =>
    element(
      "li",
      {},
      element("span", { className: "place" }),
      element("span", { className: "name" }),
      element("button", { type: "button", className: "grant", textContent: "Let speak", ariaLabel: `Let ${name} speak`, onclick: () => request({ do: "grant_hand", user }) }),
      element("button", { type: "button", className: "deny", textContent: "Decline", ariaLabel: `Decline the hand of ${name}`, onclick: () => request({ do: "deny_hand", user }) }),
    );
  drawList($("hands"), rows, (row) => row.user, create, (item, row) => {
    item.classList.toggle("mine", row.mine);
    setText(item.querySelector(".place"), `${row.place}.`);
    setText(item.querySelector(".name"), row.mine ? `${row.name} (you)` : row.name);
    for (const button of item.querySelectorAll("button")) setHidden(button, !deciding);
  });
}

function drawListeners(state) {
  const { rows, more, total } = listenerRows(state);
  setHidden($("listeners-section"), total === 0);
  setText($("listeners-title"), total > 1 ? `Listening · ${total}` : "Listening");
  const shown = more > 0 ? [...rows, { user: "", more }] : rows;
  drawList(
    $("listeners"),
    shown,
    (row) => row.user,
    () => element("li"),
    (item, row) => {
      item.className = row.more ? "more" : [row.mine && "mine", row.away && "away"].filter(Boolean).join(" ");
      const away = row.away ? " (connection lost)" : "";
      setText(item, row.more ? `and ${row.more} more` : `${row.name}${row.mine ? " (you)" : ""}${away}`);
    },
  );
}
