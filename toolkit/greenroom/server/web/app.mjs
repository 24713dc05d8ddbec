// Greenroom's page, put together: the link, the connection, the sound, the state and the screen.

import { Bell } from "./bell.mjs";
import { Calls } from "./calls.mjs";
import { Connection, Refused, sentence } from "./connection.mjs";
import { bindControls, rememberName } from "./controls.mjs";
import { $ } from "./dom.mjs";
import { addressOf, called, callee, firstMessage, holdsLink, keepResume, keepVisit, moveLink, reachOf, spent, takeLink, visitBefore } from "./link.mjs";
import { bindChatScrolling } from "./screen-chat.mjs";
import { drawLevels } from "./screen-stage.mjs";
import { Route } from "./peer.mjs";
import { callHere } from "./ring-rows.mjs";
import { soundState } from "./rows.mjs";
import { draw, drawMyLevel, say } from "./screen.mjs";
import { MicrophoneUnavailable, Sound } from "./sound.mjs";
import { can, dismiss, expire, hear, leave, microphoneOpen, moved, notify, pastServer, ringsAloud, roomOf, startState } from "./state.mjs";
import { SPEAK } from "./room.mjs";

const LEVELS_EVERY_MS = 100;
const LOOK_EVERY_MS = 1_000;
const HEAL_MS = 6_000;
const PASSING = ["unavailable", "rate_limited"]; // refusals that another try may not meet
const PASSING_MS = 2_000;
const ICE_SERVERS_MS = 500;
const SPEAKING_DBFS = -50;
const REMEDIA_MS = [0, 500, 1_500, 3_000, 6_000];
const HANG_UP_MS = 1_000;
const REACHABLE = "You can be called here.";
const SPENT = "This link calls nobody any more. Ask for a new one.";

const link = takeLink();
let state = startState(link.cid);
let connection = null;
let route = null;
let attempts = 0;
let visits = 0;
let remediaTimer = null;
let silentMs = 0;
let packets = 0;
let volume = 1;
let drawn = false;

const now = () => performance.now();
const bell = new Bell();
const sound = new Sound({ attach: (offer) => connection.attach(link.cid, offer), onPhase: followSound });
const calls = new Calls(link, {
  get state() {
    return state;
  },
  set,
  ask,
  request,
  unlock,
  lendMicrophone: () => sound.openMicrophone(microphoneGone),
  connect,
  goTo,
  join: () => join(visits),
  endWith,
});

function set(changed) {
  if (changed === state) return;
  state = changed;
  bell.ring(ringsAloud(state));
  if (drawn) return;
  drawn = true;
  setTimeout(redraw); // not an animation frame: a page in the background still speaks to screen readers
}

function redraw() {
  drawn = false;
  draw(state, soundNow(), now(), { request, dismiss: (id) => set(dismiss(state, id)), calls });
}

const soundNow = () => soundState(state, { blocked: sound.blocked, volume, silentMs });

// ---- coming in

/** Must be called inside a click: browsers let no page sound before one. */
function unlock() {
  sound.unlock();
  bell.unlock();
}

function enter(name) {
  set({ ...startState(link.cid), phase: "joining", name, home: state.home, rings: state.rings });
  unlock();
  connect();
}

/** Be connected without being in a room, so that one can be called. */
function wait(name) {
  set(leave({ ...startState(null), name, ...reachOf(link) }, REACHABLE, false));
  unlock();
  connect();
}

function connect() {
  openRoute();
  const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
  connection = new Connection(address, { hello, onMessage, onPhase: followConnection });
  connection.open();
}

function openRoute() {
  route = new Route(sound, {
    tell: (to, body) => connection?.tell({ type: "to_peer", cid: link.cid, to, body }),
    iceServers,
    again() {
      attempts = 0;
      remedia();
    },
    onPath: followPath,
    onLost: () => followSound("lost"),
  });
}

/** Let go of the room there is, and of its sound, and turn to room `cid`. */
function goTo(cid, phase) {
  route.close();
  sound.disconnect();
  sound.closeMicrophone();
  clearTimeout(remediaTimer);
  [attempts, silentMs, packets] = [0, 0, 0];
  visits += 1;
  moveLink(link, cid);
  set(moved(state, cid, phase));
  openRoute();
}

/** Go back in, or back to where a call took us from. */
function again() {
  unlock();
  const to = state.home?.cid ?? state.cid;
  moveLink(link, to);
  if (connection === null) return enter(state.name);
  goTo(to, "joining");
  set({ ...state, home: null });
  join(visits);
}

function hello(refused) {
  const { replica } = state;
  const seen = replica.room === null ? {} : { [link.cid]: [replica.epoch, replica.seq] };
  return firstMessage(link, state.name, refused, seen);
}

function onMessage(message) {
  const heard = hear(state, message, now());
  set(heard.state);
  for (const { text, urgent } of heard.speak) say(text, urgent);
  if (heard.sync) connection.tell({ type: "sync", cid: link.cid, epoch: state.replica.epoch, seq: state.replica.seq });
  if (message.type === "welcome") welcomed(message);
  if (message.type === "rings" || message.type === "ring_changed") calls.follow(message.type === "rings");
  if (message.cid === link.cid && (message.type === "snapshot" || message.type === "happened")) route.follow(roomOf(state), state.me);
  if (message.type === "from_peer" && message.cid === link.cid) route.said(message.user, message.body);
  if (message.type === "removed" && message.cid === link.cid) endWith(null);
  else if (heard.remedia && state.phase === "joined") remedia();
  followWish();
}

function welcomed({ resume_token, resumed }) {
  keepResume(link, resume_token);
  set({ ...state, ...reachOf(link) });
  visits += 1;
  if (state.phase === "left") keepVisit(link, link.waits ? state.name : null, true);
  else if (state.phase === "calling") calls.begin();
  else if (resumed.includes(link.cid)) comeIn(false);
  else join(visits);
}

async function join(visit) {
  try {
    await connection.do(link.cid, { do: "join" });
  } catch (error) {
    if (visit !== visits || connection === null) return; // another connection asks by itself
    if (PASSING.includes(error.reason)) return setTimeout(() => visit === visits && connection && join(visit), PASSING_MS);
    return turnedAway(sentence(error.message));
  }
  if (visit === visits && connection !== null) comeIn(true);
}

/** In the room, for the first time or again; `anew`: whatever sound there was belonged to somebody who is gone. */
function comeIn(anew) {
  const first = state.phase === "joining";
  if (state.phase === "left") return;
  const { talk } = state;
  set({ ...state, phase: "joined", talk: false });
  keepVisit(link, state.name);
  if (first) {
    say(talk ? "You are in the call." : `You are in ${roomOf(state)?.title ?? "the room"}, listening.`, false);
    redraw();
    $("main").focus({ preventScroll: true });
  }
  if ((anew && !pastServer(state)) || !["connected", "waiting"].includes(state.media)) remedia();
  if (state.wish) request({ do: "set_microphone", on: true });
  else if (talk && can(state, SPEAK)) toggleMicrophone();
}

/** There is no way in: back to the door, unless it was not the door we came from. */
function turnedAway(words) {
  if (state.phase !== "joining" || state.talk || state.home !== null || link.calls || link.waits) return endWith(words, state.phase === "joined");
  endConnection();
  set({ ...startState(link.cid), doorProblem: words });
}

function endWith(words, mayReturn = true) {
  if (state.reachable && connection !== null) endRoom();
  else endConnection();
  if (words !== null && state.phase !== "left") set(leave(state, words, mayReturn));
}

function endRoom() {
  route?.close();
  clearTimeout(remediaTimer);
  visits += 1;
  if (link.waits) moveLink(link, null);
  keepVisit(link, link.waits ? state.name : null, true);
  sound.close();
}

function endConnection() {
  endRoom();
  const ended = connection;
  connection = null;
  set({ ...state, rings: { ...state.rings, going: [] } }); // nothing rings here any more
  ended?.close();
}

function followConnection(phase, { seconds = 0, words = null }) {
  if (phase === "closed") {
    if (connection === null) return;
    connection = null;
    set({ ...state, connection: "offline", rings: { ...state.rings, going: [] } });
    if (state.phase === "left") set({ ...state, left: words ?? state.left, mayReturn: state.cid !== null });
    else turnedAway(words);
  } else set({ ...state, connection: phase, retryAt: phase === "reconnecting" ? now() + seconds * 1000 : null });
}

// ---- sound

function followSound(phase) {
  if (state.phase === "left") return;
  set({ ...state, media: phase });
  if (phase === "connected") attempts = 0;
  if (phase === "lost") remedia();
  followWish();
}

function followPath(path) {
  if (state.phase === "left") return;
  const media = { waiting: "waiting", looking: "connecting" }[path.way] ?? state.media;
  set({ ...state, path, media });
}

/** What helps to reach another person directly; nothing where the server does not answer at once. */
async function iceServers() {
  const late = new Promise((resolve) => setTimeout(resolve, ICE_SERVERS_MS, { servers: [] }));
  const { servers } = await Promise.race([connection.ask({ ask: "ice_servers" }), late]).catch(() => ({ servers: [] }));
  return servers.map(({ urls, username, credential }) => (credential ? { urls, username, credential } : { urls }));
}

/** Connect the sound anew, soon, and less and less often while that fails. */
function remedia() {
  clearTimeout(remediaTimer);
  if (!connection?.online || state.phase !== "joined") return; // coming in connects it
  const wait = REMEDIA_MS[Math.min(attempts, REMEDIA_MS.length - 1)];
  attempts += 1;
  remediaTimer = setTimeout(async () => {
    const way = route;
    try {
      await way.connect();
    } catch (error) {
      if (state.phase !== "joined" || way !== route) return;
      set({ ...state, media: "lost" });
      if (error instanceof Refused && error.reason === "media_refused") set(notify(state, sentence(error.message), "bad", now()));
      remedia();
    }
  }, wait);
}

async function toggleMicrophone() {
  if (state.wish) {
    set({ ...state, wish: false });
    followWish();
    return request({ do: "set_microphone", on: false });
  }
  set({ ...state, wish: true });
  try {
    await sound.openMicrophone(microphoneGone);
  } catch (error) {
    set({ ...state, wish: false });
    if (!(error instanceof MicrophoneUnavailable)) throw error;
    say(error.message, true);
    return set(notify(state, error.message, "bad", now()));
  }
  if (!state.wish) return sound.closeMicrophone(); // it was taken back while the browser asked
  set({ ...state, capturing: true });
  if (!(await request({ do: "set_microphone", on: true }))) {
    set({ ...state, wish: false });
    followWish();
  } else {
    set({ ...state, notices: state.notices.filter(({ tone }) => tone !== "good") }); // the turn was taken
    say("Your microphone is open.", false);
  }
}

function microphoneGone() {
  set(notify({ ...state, wish: false, capturing: false }, "The microphone is gone. Plug it in and open it again.", "bad", now()));
  request({ do: "set_microphone", on: false });
}

/** Without the wish, the right to speak or the room there is nothing to capture: the browser's red dot goes out. */
function followWish() {
  if ((state.wish && can(state, SPEAK)) || !state.capturing) return;
  sound.closeMicrophone();
  set({ ...state, capturing: false });
}

// ---- asking

/** Ask room `cid`; rejects with `Refused`. */
async function ask(cid, value) {
  if (connection === null) throw new Refused({ reason: "unavailable", message: "There is no connection to the server." });
  return connection.do(cid, value);
}

/** Ask the room; a refusal becomes a notice. Resolves with whether it was kept. */
async function request(value, cid = link.cid) {
  try {
    await connection?.do(cid, value);
    return connection !== null;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (connection !== null) {
      set(notify(state, sentence(error.message), "bad", now()));
      say(error.message, true);
    }
    return false;
  }
}

async function leaveRoom() {
  const call = callHere(state);
  await Promise.race([request({ do: "leave" }), new Promise((resolve) => setTimeout(resolve, HANG_UP_MS))]);
  if (call !== undefined && call.phase !== "ended") endWith("You hung up.", false);
  else endWith("You left the room.");
}

/** The page goes away. A call waits for whoever only loads it again; a room does not. */
function goodbye() {
  const call = callHere(state);
  if (connection === null || state.phase !== "joined" || (call !== undefined && call.phase !== "ended")) return;
  connection.tell({ type: "do", op: `bye-${Date.now()}`, cid: link.cid, request: { do: "leave" } });
}

/** Another link was opened in this tab: whatever this page was in is over. */
function follow(event) {
  if (!holdsLink(event.newURL)) return;
  const request = { calling: { do: "cancel_ring" }, joined: { do: "leave" } }[state.phase];
  if (request) connection?.tell({ type: "do", op: `bye-${Date.now()}`, cid: link.cid, request });
  endConnection();
  takeLink(); // out of the address bar, into what the page that comes up knows
  location.reload();
}

// ---- the clock

function drawMeters() {
  if (state.phase !== "joined" || document.visibilityState === "hidden") return;
  const { heard, mine } = sound.measure();
  if (["direct", "relayed"].includes(state.path.way)) listen(heard, mine);
  drawLevels(state, heard, mine);
  drawMyLevel(microphoneOpen(state) ? mine : null);
}

/** Where no server listens, we hear who speaks. */
function listen(heard, mine) {
  const me = roomOf(state)?.participants[state.me]?.number;
  if (me !== undefined && mine !== null && microphoneOpen(state)) heard = new Map(heard).set(me, mine);
  const levels = [...heard].map(([number, dbfs]) => [number, dbfs, dbfs > SPEAKING_DBFS]).filter(([, , speaking]) => speaking);
  const [dominant = null] = levels.reduce((loudest, level) => (level[1] > (loudest[1] ?? -Infinity) ? level : loudest), []);
  if (levels.length > 0 || state.levels.size > 0) set(hear(state, { type: "pulse", levels, dominant }, now()).state);
}

/** Once a second: is it audible, and what has had its time. */
async function look() {
  set(expire(state, now()));
  if (state.phase !== "joined") {
    if (state.connection === "reconnecting") redraw();
    return;
  }
  const me = roomOf(state)?.participants[state.me]?.number;
  const speaking = [...state.levels].some(([number, level]) => level.speaking && number !== me);
  const received = await sound.packetsReceived();
  silentMs = speaking && received === packets && state.media === "connected" ? silentMs + LOOK_EVERY_MS : 0;
  packets = received;
  if (silentMs === HEAL_MS && !pastServer(state)) remedia();
  redraw();
}

bindControls({
  room: link.place === "home" && !link.waits ? null : link.place,
  calls: link.calls,
  waits: link.waits,
  callee: callee(link),
  named: (link.kept?.named ?? false) || called(link) !== "",
  name: link.kept?.guest ?? "",
  enter(name, room) {
    if (name) rememberName(name);
    if (state.phase !== "door") return;
    if (link.calls) calls.placeByLink(name || called(link), callee(link) ?? "");
    else if (link.waits) wait(name);
    else if (link.cid === null) location.assign(addressOf(room));
    else enter(name);
  },
  again,
  leave: leaveRoom,
  hangUp: () => calls.hangUp(),
  call: (user) => calls.call(user, user),
  callIn: (user) => request({ do: "start_ring", members: [user] }),
  accept: () => calls.acceptFirst(),
  decline: () => calls.declineFirst(),
  unlock() {
    unlock();
    setTimeout(redraw, 200);
  },
  request,
  emit: (signal) => connection?.tell({ type: "emit", cid: link.cid, signal }),
  microphone: toggleMicrophone,
  setVolume(chosen) {
    volume = chosen;
    sound.setVolume(volume);
    redraw();
  },
  hurry: () => connection?.hurry(),
  goodbye,
});
bindChatScrolling();
addEventListener("hashchange", follow);
addEventListener("pointerdown", () => bell.wake());
addEventListener("keydown", () => bell.wake());
setInterval(drawMeters, LEVELS_EVERY_MS);
setInterval(look, LOOK_EVERY_MS);
const before = visitBefore(link);
if (before === null) {
  if (spent(link)) set(leave(state, SPENT, false));
} else if (!before.waits) enter(before.name);
else if (link.cid !== null) calls.goOn(before.name);
else if (link.waits) wait(before.name);
redraw();
