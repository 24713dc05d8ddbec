// What a person can press, type and slide, tied to what the page can do.

import { $, element, setIcon, setText } from "./dom.mjs";

const REACTIONS = { "👏": "Applause", "❤️": "Heart", "😂": "Laughter", "🎉": "Celebration", "👍": "Thumbs up", "🤔": "Thinking" };
const TYPING_EVERY_MS = 3_000;
const NAME = "greenroom.name";

/** Fill the name in next time. */
export function rememberName(name) {
  try {
    localStorage.setItem(NAME, name);
  } catch {
    // a browser that keeps nothing asks for the name again
  }
}

/** Tie the controls of index.html to `page`, an object of functions named after what they do. */
export function bindControls(page) {
  bindDoor(page);
  bindChat(page);
  bindVolume(page);
  bindCalls(page);
  for (const what of ["again", "leave", "unlock"]) $(what).addEventListener("click", () => page[what]());
  $("accept").addEventListener("click", () => page.request({ do: "accept_invitation" }));
  $("decline").addEventListener("click", () => page.request({ do: "decline_invitation" }));
  $("main-action").addEventListener("click", ({ currentTarget: { dataset } }) => {
    if (dataset.what === "microphone") page.microphone();
    else page.request({ do: dataset.on === "true" ? "withdraw_hand" : "raise_hand" });
  });
  $("reactions").append(
    ...Object.entries(REACTIONS).map(([emoji, words]) =>
      element("button", {
        type: "button",
        textContent: emoji,
        ariaLabel: words,
        onclick: () => page.emit({ signal: "reaction", emoji }),
      }),
    ),
  );
  window.addEventListener("online", page.hurry);
  window.addEventListener("pagehide", page.goodbye);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") page.hurry();
  });
}

function bindDoor(page) {
  try {
    $("name").value = page.name || (localStorage.getItem(NAME) ?? "");
  } catch {
    // nothing kept
  }
  const asks = page.room === null;
  if (page.calls) {
    setText($("door-title"), page.callee ? `Call ${page.callee}` : "Place a call");
    setText($("door-words"), "Your browser asks for your microphone. It is heard once your call is answered.");
    setText($("listen-label"), "Call");
    setIcon($("listen").firstElementChild, "phone");
  } else if (page.waits) {
    setText($("door-title"), "Be reachable here");
    setText($("door-words"), "While this page is open, calls for you ring here.");
    setText($("listen-label"), "Wait for calls");
    setIcon($("listen").firstElementChild, "phone");
  }
  $("which").hidden = $("which-label").hidden = !asks;
  $("which").required = asks;
  $("name").hidden = $("name-label").hidden = page.named;
  $("name").required = !page.named;
  $("door-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const [name, room] = [$("name").value.trim(), $("which").value.trim()];
    if ((name || page.named) && (room || !asks)) page.enter(page.named ? "" : name, room);
  });
}

function bindCalls(page) {
  $("hang-up").addEventListener("click", () => page.hangUp());
  for (const [form, field, call] of [["call-form", "call-whom", page.call], ["call-in-form", "call-in-whom", page.callIn]])
    $(form).addEventListener("submit", (event) => {
      event.preventDefault();
      const user = $(field).value.trim();
      if (user === "") return;
      $(field).value = "";
      call(user);
    });
  document.addEventListener("keydown", (event) => {
    if (!event.altKey || !event.shiftKey || event.ctrlKey || event.metaKey || !$("incoming").hasChildNodes()) return;
    const answer = { KeyA: page.accept, KeyD: page.decline }[event.code];
    if (!answer) return;
    event.preventDefault();
    answer();
  });
}

function bindChat(page) {
  const message = $("message");
  let toldAt = -TYPING_EVERY_MS;
  $("chat-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = message.value;
    if (!text.trim()) return;
    message.value = "";
    toldAt = -TYPING_EVERY_MS;
    if (!(await page.request({ do: "post_message", text })) && message.value === "") message.value = text;
  });
  message.addEventListener("input", () => {
    if (performance.now() - toldAt < TYPING_EVERY_MS || message.value === "") return;
    toldAt = performance.now();
    page.emit({ signal: "typing" });
  });
}

function bindVolume(page) {
  const button = $("mute-here");
  const apply = (silenced) => {
    const volume = silenced ? 0 : Number($("volume").value) / 100;
    button.setAttribute("aria-pressed", String(silenced));
    setIcon(button.firstElementChild, volume === 0 ? "sound-off" : "sound");
    page.setVolume(volume);
  };
  $("volume").addEventListener("input", () => apply(false));
  button.addEventListener("click", () => apply(button.getAttribute("aria-pressed") !== "true"));
}
