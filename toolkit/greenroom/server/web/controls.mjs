// What a person can press, type and slide, tied to what the page can do.

import { $, element, setIcon } from "./dom.mjs";

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
  if (page.calls) $("door-title").textContent = "Place a call";
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
