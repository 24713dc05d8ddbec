// What the page knows, as one value, and how what the server says changes it. Pure: `now` (ms) comes in.

import { sentence } from "./connection.mjs";
import { leftWords, noticesOf } from "./notices.mjs";
import { emptyReplica, receive } from "./replica.mjs";
import { callHere, endWords, ringNews } from "./ring-rows.mjs";
import { NO_RINGS, incoming, received } from "./rings.mjs";
import { SPEAK, handPosition, may, nameOf, own } from "./room.mjs";

const REACTIONS = 24;
const REACTION_MS = 4_000;
const TYPING_MS = 5_000;
const NOTICES = 4;
const LEVELS_MS = 1_000;

const NO_PATH = { way: "none", reason: "" }; // none, waiting, looking, direct, relayed, forwarded; why, in words

/** Whether what becomes of the server's sound does not matter: sound goes past it, or nobody is there to hear. */
export const pastServer = ({ path }) => ["waiting", "looking", "direct", "relayed"].includes(path.way);

/** The page before anything is known of room `cid`; null is the page without a room. */
export const startState = (cid) => ({
  cid,
  phase: "door", // door, calling (nobody came yet), joining, joined, left (in no room; others may still call us)
  doorProblem: null,
  me: null,
  name: "", // as typed at the door
  role: "guest",
  connection: "offline", // offline, connecting, online, reconnecting
  retryAt: null,
  replica: emptyReplica(cid),
  returning: false, // connected again, and the room not yet seen since
  media: "none", // none, connecting, connected, lost, waiting
  path: NO_PATH,
  wish: false,
  capturing: false,
  levels: new Map(), // number of a person -> { dbfs, speaking }, as the server hears them
  levelsAt: -Infinity,
  dominant: null,
  quality: {},
  reactions: [],
  typing: new Map(), // user -> { name, until }
  notices: [],
  serial: 0,
  left: null,
  mayReturn: true,
  reachable: false, // whether we stay connected outside of rooms, since somebody may call us
  roams: false, // whether calls of any room ring here, and we may call others
  callee: "", // whom we call, as far as it is known before it rings
  to: null, // whom we are about to call
  asking: false, // whether the browser asks for the microphone before we call
  talk: false, // whether to open the microphone on coming in
  home: null, // the room that a call took us out of: { cid, title }
  rings: NO_RINGS,
  silenced: [], // ids of the calls that ring without a sound
});

/** `state` on its way into room `cid`: who and how we are connected stays, what is known of the room before goes. */
export const moved = (state, cid, phase) => ({
  ...startState(cid),
  phase,
  me: state.me,
  name: state.name,
  role: state.role,
  connection: state.connection,
  retryAt: state.retryAt,
  serial: state.serial,
  reachable: state.reachable,
  roams: state.roams,
  rings: state.rings,
  silenced: state.silenced,
  home: state.home,
});

/** Whether a call should be heard ringing. */
export const ringsAloud = (state) =>
  state.connection === "online" && incoming(state.rings, state.me).some(({ id }) => !state.silenced.includes(id));

/** `state` with what rings now ringing without a sound, or with it again. */
export const silence = (state, on) => ({ ...state, silenced: on ? incoming(state.rings, state.me).map(({ id }) => id) : [] });

/** `state` after `message` from the server, and what to do then: `sync`, `remedia`, or words to speak. */
export function hear(state, message, now) {
  if (message.cid !== undefined && message.cid !== state.cid) return next(state); // of a room we left
  switch (message.type) {
    case "welcome":
      return next({ ...state, me: message.user, role: message.role, returning: state.replica.epoch >= 0 });
    case "snapshot":
    case "happened":
      return replicate(state, message, now);
    case "ring_changed":
    case "rings":
    case "missed_calls": {
      const rings = received(state.rings, message, state.me, Date.now() / 1000);
      return { ...next({ ...state, rings }), speak: ringNews(state.rings, rings, state.me) };
    }
    case "pulse":
      return next({
        ...state,
        levels: new Map(message.levels.map(([number, dbfs, speaking]) => [number, { dbfs, speaking }])),
        levelsAt: now,
        dominant: message.dominant,
      });
    case "quality":
      return next({ ...state, quality: { ...state.quality, [message.user]: message.quality } });
    case "emitted":
      return next(signalled(state, message, now));
    case "media_lost":
      if (pastServer(state)) return next(state);
      return { ...next({ ...state, media: "lost" }), remedia: true };
    case "removed":
      return next(removed(state, message));
    default:
      return next(state);
  }
}

function removed(state, { reason, by }) {
  const call = callHere(state);
  if (reason === "ended" && call?.phase === "ended") return leave(state, sentence(endWords(call, state.me)), false);
  return leave(state, leftWords(reason, by && nameIn(state, by)), reason !== "blocked" && reason !== "ended");
}

/** `state` out of the room, with the words that say why. */
export const leave = (state, words, mayReturn = true) => ({
  ...state,
  phase: "left",
  left: words,
  mayReturn,
  connection: state.reachable ? state.connection : "offline",
  media: "none",
  path: NO_PATH,
  wish: false,
  capturing: false,
  to: null,
  asking: false,
  talk: false,
  levels: new Map(),
  reactions: [],
  notices: [],
});

/** `state` with one more notice on show. */
export function notify(state, text, tone, now) {
  const kept = state.notices.filter((notice) => notice.text !== text).slice(1 - NOTICES);
  return { ...state, serial: state.serial + 1, notices: [...kept, { id: state.serial, text, tone, at: now }] };
}

export const dismiss = (state, id) => ({ ...state, notices: state.notices.filter((notice) => notice.id !== id) });

/** `state` without levels, reactions, typing marks and notices that have had their time. */
export function expire(state, now) {
  const reactions = state.reactions.filter(({ at }) => now - at < REACTION_MS);
  const typing = new Map([...state.typing].filter(([, { until }]) => until > now));
  const notices = state.notices.filter(({ at, tone }) => now - at < (tone === "bad" ? 20_000 : 9_000));
  const levels = now - state.levelsAt < LEVELS_MS ? state.levels : new Map();
  if (
    levels.size === state.levels.size &&
    reactions.length === state.reactions.length &&
    typing.size === state.typing.size &&
    notices.length === state.notices.length
  )
    return state;
  return { ...state, levels, reactions, typing, notices };
}

/** The room, or null until it is known. */
export const roomOf = (state) => state.replica.room;

/** Me as the room has me; undefined while unknown, or beyond the listeners it names. */
export const myself = (state) => roomOf(state) && own(roomOf(state).participants, state.me);

/** Whether I have `capability` here. */
export const can = (state, capability) =>
  roomOf(state) !== null && state.phase === "joined" && may(roomOf(state), state.me, capability, state.role);

/** My place in the queue of hands, or null. */
export const myHand = (state) => roomOf(state) && handPosition(roomOf(state), state.me);

/** Whether an invitation to the stage waits for my answer, and from whom. */
export function invitedBy(state) {
  const invitation = roomOf(state) && own(roomOf(state).invitations, state.me);
  return invitation ? nameOf(roomOf(state), invitation.by) : null;
}

/** Whether my microphone is really heard: connection, wish, permission, presence, capture and sound all agree. */
export const microphoneOpen = (state) =>
  state.connection === "online" && state.wish && state.capturing && can(state, SPEAK) && Boolean(myself(state)?.microphone) && state.media === "connected";

function replicate(state, message, now) {
  const { replica, outcome, steps } = receive(state.replica, message);
  if (outcome === "gap") return { ...next(state), sync: true };
  // Back in a room with another epoch: the server began anew, and its media engine knows nothing of us.
  const remedia = state.returning && replica.epoch !== state.replica.epoch && !pastServer(state);
  let after = { ...state, replica, returning: false };
  const speak = [];
  for (const step of steps)
    for (const { text, tone, urgent, shown } of noticesOf(step, state.me, state.role)) {
      speak.push({ text, urgent });
      if (shown) after = notify(after, text, tone, now);
    }
  for (const { event } of steps)
    if (event.event === "message_posted") after = { ...after, typing: without(after.typing, event.message.user) };
  const unheard = after.replica.room !== null && after.wish && (!can(after, SPEAK) || mutedNow(steps, state.me));
  if (unheard) after = { ...after, wish: false };
  return { state: after, speak, sync: false, remedia };
}

const mutedNow = (steps, me) =>
  steps.some(({ event }) => event.event === "microphone_changed" && event.user === me && !event.on && event.by && event.by !== me);

function signalled(state, { user, name, signal }, now) {
  if (signal.signal === "reaction")
    return {
      ...state,
      serial: state.serial + 1,
      reactions: [...state.reactions, { id: state.serial, name, emoji: signal.emoji, at: now }].slice(-REACTIONS),
    };
  if (signal.signal === "typing" && user !== state.me)
    return { ...state, typing: new Map(state.typing).set(user, { name, until: now + TYPING_MS }) };
  return state;
}

const next = (state) => ({ state, speak: [], sync: false, remedia: false });
const nameIn = (state, user) => (roomOf(state) ? nameOf(roomOf(state), user) : user);
const without = (map, key) => new Map([...map].filter(([known]) => known !== key));
