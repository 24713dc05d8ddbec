// Greenroom's page, put together: the link, the connection, the sound, the state and the screen.

import { Connection, Refused, sentence } from "./connection.mjs";
import { bindControls, rememberName } from "./controls.mjs";
import { $ } from "./dom.mjs";
import { addressOf, calling, firstMessage, keepResume, keepVisit, placed, redeem, takeLink, visitBefore } from "./link.mjs";
import { bindChatScrolling } from "./screen-chat.mjs";
import { drawLevels } from "./screen-stage.mjs";
import { Route } from "./peer.mjs";
import { soundState } from "./rows.mjs";
import { draw, drawMyLevel, say } from "./screen.mjs";
import { MicrophoneUnavailable, Sound } from "./sound.mjs";
import { can, dismiss, expire, hear, leave, microphoneOpen, notify, pastServer, roomOf, startState } from "./state.mjs";
import { SPEAK } from "./room.mjs";

const LEVELS_EVERY_MS = 100;
const LOOK_EVERY_MS = 1_000;
const HEAL_MS = 6_000;
const PASSING = ["unavailable", "rate_limited"]; // refusals that another try may not meet
const PASSING_MS = 2_000;
const ICE_SERVERS_MS = 500;
const SPEAKING_DBFS = -50;
const REMEDIA_MS = [0, 500, 1_500, 3_000, 6_000];

const link = takeLink();
let state = startState(link.cid);
let connection = null;
let sound = null;
let route = null;
let attempts = 0;
let visits = 0;
let remediaTimer = null;
let silentMs = 0;
let packets = 0;
let volume = 1;
let drawn = false;

const now = () => performance.now();

function set(changed) {
  if (changed === state) return;
  state = changed;
  if (drawn) return;
  drawn = true;
  setTimeout(redraw); // not an animation frame: a page in the background still speaks to screen readers
}

function redraw() {
  drawn = false;
  draw(state, soundNow(), now(), { request, dismiss: (id) => set(dismiss(state, id)) });
}

const soundNow = () => soundState(state, { blocked: sound?.blocked ?? false, volume, silentMs });

// ---- coming in

/** Come in by a link that calls somebody: its room is known once the link was used. */
async function enterCall(name) {
  set({ ...startState(link.cid), phase: "joining", name });
  try {
    await redeem(link, name);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return turnedAway(sentence(error.message));
  }
  enter(name);
}

function enter(name) {
  set({ ...startState(link.cid), phase: "joining", name });
  sound?.close();
  sound = new Sound({ attach: (offer) => connection.attach(link.cid, offer), onPhase: followSound });
  sound.unlock();
  sound.setVolume(volume);
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
  const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
  connection = new Connection(address, { hello, onMessage, onPhase: followConnection });
  connection.open();
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
  if (message.type === "snapshot" || message.type === "happened") route.follow(roomOf(state), state.me);
  if (message.type === "from_peer" && message.cid === link.cid) route.said(message.user, message.body);
  if (message.type === "removed" && message.cid === link.cid) endWith(null);
  else if (heard.remedia) remedia();
  followWish();
}

function welcomed({ resume_token, resumed }) {
  keepResume(link, resume_token);
  visits += 1;
  if (resumed.includes(link.cid)) comeIn(false);
  else join(visits);
}

async function join(visit) {
  try {
    if (calling(link) !== null) {
      await connection.do(link.cid, { do: "start_ring", members: [calling(link)] });
      placed(link);
    }
    await connection.do(link.cid, { do: "join" });
  } catch (error) {
    if (visit !== visits || connection === null) return; // another connection asks by itself
    if (PASSING.includes(error.reason)) return setTimeout(() => visit === visits && connection && join(visit), PASSING_MS);
    return state.phase === "joining" ? turnedAway(sentence(error.message)) : endWith(sentence(error.message));
  }
  if (visit === visits && connection !== null) comeIn(true);
}

/** In the room, for the first time or again; `anew`: whatever sound there was belonged to somebody who is gone. */
function comeIn(anew) {
  const first = state.phase === "joining";
  if (state.phase === "left") return;
  set({ ...state, phase: "joined" });
  keepVisit(link, state.name);
  if (first) {
    say(`You are in ${roomOf(state)?.title ?? "the room"}, listening.`, false);
    redraw();
    $("main").focus({ preventScroll: true });
  }
  if ((anew && !pastServer(state)) || !["connected", "waiting"].includes(state.media)) remedia();
  if (state.wish) request({ do: "set_microphone", on: true });
}

function turnedAway(words) {
  endConnection();
  set({ ...startState(link.cid), doorProblem: words });
}

function endWith(words, mayReturn = true) {
  endConnection();
  if (words !== null && state.phase !== "left") set(leave(state, words, mayReturn));
}

function endConnection() {
  route?.close();
  const ended = connection;
  connection = null;
  clearTimeout(remediaTimer);
  keepVisit(link, null);
  ended?.close();
  sound?.close();
}

function followConnection(phase, { seconds = 0, words = null }) {
  if (phase === "closed") {
    if (connection === null) return;
    connection = null;
    if (state.phase === "joining") turnedAway(words);
    else endWith(words);
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
    try {
      await route.connect();
    } catch (error) {
      if (state.phase !== "joined") return;
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
    await sound.openMicrophone(() => {
      set(notify({ ...state, wish: false, capturing: false }, "The microphone is gone. Plug it in and open it again.", "bad", now()));
      request({ do: "set_microphone", on: false });
    });
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

/** Without the wish, the right to speak or the room there is nothing to capture: the browser's red dot goes out. */
function followWish() {
  if ((state.wish && can(state, SPEAK)) || !state.capturing) return;
  sound.closeMicrophone();
  set({ ...state, capturing: false });
}

// ---- asking

/** Ask the room; a refusal becomes a notice. Resolves with whether it was kept. */
async function request(value) {
  try {
    await connection?.do(link.cid, value);
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
  await Promise.race([request({ do: "leave" }), new Promise((resolve) => setTimeout(resolve, 1_000))]);
  endWith("You left the room.");
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
  room: link.place,
  calls: link.calls,
  named: link.kept?.named ?? false,
  name: link.kept?.guest ?? "",
  enter(name, room) {
    if (name) rememberName(name);
    if (state.phase === "joining") return;
    if (link.calls && link.cid === null) enterCall(name);
    else if (link.cid === null) location.assign(addressOf(room));
    else enter(name);
  },
  again: () => enter(state.name),
  leave: leaveRoom,
  unlock() {
    sound.unlock();
    setTimeout(redraw, 200);
  },
  request,
  emit: (signal) => connection?.tell({ type: "emit", cid: link.cid, signal }),
  microphone: toggleMicrophone,
  setVolume(chosen) {
    volume = chosen;
    sound?.setVolume(volume);
    redraw();
  },
  hurry: () => connection?.hurry(),
  goodbye: () => connection?.tell({ type: "do", op: `bye-${Date.now()}`, cid: link.cid, request: { do: "leave" } }),
});
bindChatScrolling();
setInterval(drawMeters, LEVELS_EVERY_MS);
setInterval(look, LOOK_EVERY_MS);
const before = visitBefore(link);
if (before !== null) enter(before);
redraw();
