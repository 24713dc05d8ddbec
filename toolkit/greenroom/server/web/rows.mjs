// The page's state as rows and words. Pure: what a screen shows is computed here, the screens only draw.

import { handWords } from "./notices.mjs";
import { callHere, partners } from "./ring-rows.mjs";
import { SPEAK, may, nameOf, onStage, people } from "./room.mjs";
import { can, invitedBy, microphoneOpen, myHand, roomOf, myself } from "./state.mjs";

const ROLE_WORDS = { host: "host", moderator: "moderator", admin: "admin" };
const SPEAKERS_SHOWN = 60;
const LISTENERS_SHOWN = 60;
const QUIET_DBFS = -60;

/** Everybody on the stage: `{ user, name, number, mine, mic, words, role }`, and how many more there are. */
export function speakerRows(state) {
  const room = roomOf(state);
  if (room === null) return { rows: [], more: 0 };
  const stage = people(room).filter(({ user }) => onStage(room, user));
  const rows = stage.slice(0, SPEAKERS_SHOWN).map((person) => ({
    user: person.user,
    name: person.name,
    number: person.number,
    mine: person.user === state.me,
    open: person.microphone && !person.suspended && person.connected && !(lost(state) && person.user === state.me),
    role: ROLE_WORDS[person.role] ?? "",
    words: lost(state) && person.user === state.me ? "connection lost" : presenceWords(room, person, state.quality[person.user]),
  }));
  return { rows, more: stage.length - rows.length };
}

/** How loud each speaker is, 0 to 1, and whether they speak: by number. `heard` is what this page measures itself. */
export function levelRows(state, heard, mine) {
  const room = roomOf(state);
  if (room === null) return new Map();
  return new Map(
    people(room).map(({ user, number, microphone }) => {
      const told = state.levels.get(number);
      const own = user === state.me ? (microphoneOpen(state) ? mine : null) : heard.get(number);
      const dbfs = microphone ? Math.max(told?.dbfs ?? -127, own ?? -127) : -127;
      return [number, { level: meter(dbfs), speaking: microphone && !lost(state) && Boolean(told?.speaking) }];
    }),
  );
}

/** A level from −60 dBFS (0) to −10 dBFS (1). */
export const meter = (dbfs) => Math.min(1, Math.max(0, (dbfs - QUIET_DBFS) / 50));

/** Raised hands in order: `{ user, name, place, mine }`. */
export const handRows = (state) =>
  (roomOf(state)?.hands ?? []).map(({ user, name }, index) => ({ user, name, place: index + 1, mine: user === state.me }));

/** Listeners by name, and how many more are counted but not named. */
export function listenerRows(state) {
  const room = roomOf(state);
  if (room === null) return { rows: [], more: 0, total: 0 };
  const present = people(room);
  const listeners = present.filter(({ user }) => !may(room, user, SPEAK));
  const total = Math.max(room.counts.participants - (present.length - listeners.length), listeners.length);
  const rows = listeners
    .slice(0, LISTENERS_SHOWN)
    .map(({ user, name, connected }) => ({ user, name, mine: user === state.me, away: !connected }));
  return { rows, more: total - rows.length, total };
}

/** Chat, oldest first: `{ id, name, mine, text, time, note }`. */
export const chatRows = (state) =>
  (roomOf(state)?.chat ?? []).map(({ id, user, name, text, at, edited_at, deleted_by }) => ({
    id,
    name,
    mine: user === state.me,
    text: deleted_by ? "" : text,
    at,
    note: deleted_by ? "removed" : edited_at ? "edited" : "",
  }));

export function typingWords(state) {
  const names = [...state.typing.values()].map(({ name }) => name);
  if (names.length === 0) return "";
  if (names.length > 2) return "Several people are writing…";
  return `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} writing…`;
}

/** The connection and the sound in one line, with a tone: good, busy or bad. */
export function statusWords(state, sound, now) {
  if (state.connection === "connecting") return { tone: "busy", words: "Connecting…" };
  if (state.connection === "reconnecting") {
    const seconds = Math.ceil(Math.max(0, (state.retryAt ?? now) - now) / 1000);
    return { tone: "bad", words: seconds > 0 ? `Connection lost. Trying again in ${seconds} s…` : "Connection lost. Trying again…" };
  }
  if (state.phase !== "joined") return { tone: "busy", words: state.phase === "joining" ? "Coming in…" : "" };
  return SOUND_WORDS[sound](state);
}

const SOUND_WORDS = {
  connecting: () => ({ tone: "busy", words: "Connecting the sound…" }),
  lost: () => ({ tone: "bad", words: "The sound was lost. Connecting it again…" }),
  blocked: () => ({ tone: "bad", words: "Not audible: the browser holds the sound back." }),
  muted: () => ({ tone: "bad", words: "Not audible: the volume here is at zero." }),
  unheard: () => ({ tone: "bad", words: "Not audible: somebody speaks, but no sound arrives here." }),
  waiting: () => ({ tone: "busy", words: "Nobody else is here yet." }),
  audible: (state) => ({ tone: "good", words: audibleWords(state) }),
};

function audibleWords(state) {
  const open = microphoneOpen(state);
  const { way, reason } = state.path;
  if (way === "direct") return open ? "You hear each other directly." : "You hear the other person directly.";
  if (way === "relayed") return open ? "You hear each other through a relay." : "You hear the other person through a relay.";
  const words = open ? "You hear the room, and it hears you" : "You hear the room";
  return reason === "" ? `${words}.` : `${words}, through the server: ${reason}.`;
}

/** Whether the room is audible here, and if not, why: a key of the status words. `silentMs`: how long somebody has
 * been speaking without a packet arriving here. */
export function soundState(state, { blocked, volume, silentMs }) {
  if (state.media === "lost" || state.media === "waiting") return state.media;
  if (state.media !== "connected") return "connecting";
  if (blocked) return "blocked";
  if (volume === 0) return "muted";
  return silentMs > 3_000 ? "unheard" : "audible";
}

/** The one big button: what it does, what it says, whether it is pressed, and the line beside it. */
export function mainAction(state) {
  const now = actionOnline(state);
  if (!lost(state)) return now;
  // The microphone can still be closed: that needs no server.
  const label = now.what === "microphone" && state.wish ? "Close microphone" : now.label;
  return { ...now, label, words: "Connection lost." };
}

function actionOnline(state) {
  if (can(state, SPEAK)) {
    const open = microphoneOpen(state);
    if (state.wish && !open) return action("microphone", "Opening…", true, "Opening your microphone…");
    const mutedBy = myself(state)?.muted_by;
    const closed = mutedBy ? `${nameOf(roomOf(state), mutedBy)} muted you.` : "Your microphone is closed.";
    return open
      ? action("microphone", "Close microphone", true, "You are heard.")
      : action("microphone", "Open microphone", false, closed);
  }
  const position = myHand(state);
  if (position !== null) return action("hand", "Lower hand", true, handWords(position, roomOf(state).hands.length));
  const room = roomOf(state);
  if (room && state.phase === "joined" && room.settings.audio.access_request && !invitedBy(state))
    return action("hand", "Raise hand", false, "Raise your hand to speak.");
  return action(null, "", false, invitedBy(state) ? "" : "You are listening.");
}

const lost = (state) => state.connection === "reconnecting";

const action = (what, label, pressed, words) => ({ what, label, pressed, words });

/** What the page is about: the room's title, or whom the call is with where it has none of its own. */
export function titleWords(state) {
  const id = state.cid?.slice(state.cid.indexOf(":") + 1) ?? "";
  const title = roomOf(state)?.title ?? id;
  const call = callHere(state);
  const partner = (call && partners(call, state.me)) || state.callee;
  if ((title === "" || title === id) && partner) return `Call with ${partner}`;
  return title || "Greenroom";
}

/** Which way the sound goes, in a word; empty where there is no choice. */
export const wayWords = (state) =>
  roomOf(state)?.settings.peer_to_peer && state.phase === "joined" ? (WAYS[state.path.way] ?? "") : "";

const WAYS = { direct: "direct", relayed: "through a relay", forwarded: "forwarded" };

/** How many are here, in words. */
export function countWords(state) {
  const room = roomOf(state);
  if (room === null) return "";
  const total = Math.max(room.counts.participants, Object.keys(room.participants).length);
  return total === 1 ? "1 person" : `${total} people`;
}

/** One or two letters that stand for a name. */
export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return letters.map((word) => [...word][0] ?? "").join("").toLocaleUpperCase() || "·";
}

/** A hue of one's own, 0 to 359, the same in every browser. */
export const hue = (number) => (number * 137) % 360;

function presenceWords(room, { connected, suspended, microphone, muted_by }, quality) {
  if (!connected) return "connection lost";
  if (suspended) return "on another call";
  if (quality === "lost" || quality === "poor") return `${quality === "lost" ? "no" : "poor"} connection`;
  if (microphone) return "mic open";
  return muted_by ? `muted by ${nameOf(room, muted_by)}` : "muted";
}
