// Chat and the reactions that float by.

import { $, drawList, element, setHidden, setText } from "./dom.mjs";
import { chatRows, typingWords } from "./rows.mjs";
import { can } from "./state.mjs";

const CHAT = "create-message";
const AT_THE_END_PX = 60;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

let following = true; // until somebody scrolls up

/** Keep the newest message in sight, also when the list appears or its size changes. */
export function bindChatScrolling() {
  const list = $("chat");
  list.addEventListener("scroll", () => {
    following = list.scrollHeight - list.scrollTop - list.clientHeight < AT_THE_END_PX;
  });
  new ResizeObserver(() => follow(list)).observe(list);
}

function follow(list) {
  if (following) list.scrollTop = list.scrollHeight;
}

export function drawChat(state) {
  const list = $("chat");
  const rows = chatRows(state);
  const newest = list.lastElementChild?.dataset.key;
  drawList(list, rows, (row) => row.id, createMessage, updateMessage);
  if (list.lastElementChild?.dataset.key !== newest) follow(list);
  // A screen reader hears what arrives from now on, not the history that came with the room.
  if (rows.length > 0 || state.phase === "joined") list.setAttribute("aria-live", state.phase === "joined" ? "polite" : "off");
  setText($("typing"), typingWords(state));
  setHidden($("chat-form"), !can(state, CHAT));
}

/** Let each reaction float once. */
export function drawReactions(state) {
  drawList($("floating"), state.reactions, ({ id }) => id, ({ id, name, emoji }) => {
    const floating = element("span", { textContent: emoji }, element("small", { textContent: name }));
    floating.style.setProperty("--left", `${8 + ((id * 37) % 74)}%`);
    return floating;
  });
}

function createMessage({ name, at, mine }) {
  const sent = new Date(at * 1000);
  return element(
    "li",
    { className: mine ? "mine" : "" },
    element(
      "p",
      { className: "who" },
      element("b", { textContent: mine ? "You" : name }),
      element("time", { dateTime: sent.toISOString(), textContent: clock.format(sent) }),
      element("span", { className: "note" }),
    ),
    element("p", { className: "text" }),
  );
}

function updateMessage(item, { text, note }) {
  item.classList.toggle("removed", note === "removed");
  setText(item.querySelector(".note"), note === "edited" ? "edited" : "");
  setText(item.querySelector(".text"), note === "removed" ? "Message removed" : text);
}
