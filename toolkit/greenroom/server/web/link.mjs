// The link that led here: the room in its path, and a token or a secret in its fragment, which never reaches a server's log.

import { PROTOCOL_VERSION, Refused } from "./connection.mjs";

const PATIENCE_MS = 10_000;
const CALL_PATH = "/call";
const HOME = "home";
const [TO, NAME] = [4, 7]; // places in what a signed link states: greenroom/server/call_urls.py

/**
 * The room (null without one) of this page's address, and the token or the secret in its fragment, which leaves the
 * address bar at once. `calls`: the link places a call; its room is known once the secret was handed over. `waits`: a
 * personal link that leads to no room, where one can be called.
 */
export function takeLink() {
  const { token, secret } = fragmentOf(location.href);
  if (location.hash) history.replaceState(history.state, "", location.pathname + location.search);
  const calls = location.pathname === CALL_PATH;
  const cid = cidIn(location.pathname);
  const link = { cid, calls, waits: false, place: calls ? "call" : (cid ?? HOME), kept: null };
  if (token) keep(link, { token, resume: null, guest: null, named: namesSomebody(token) });
  else if (secret) keep(link, { token: null, resume: null, guest: null, named: false, secret, attempt: newAttempt() });
  else recall(link);
  link.waits = link.place === HOME && link.kept !== null;
  if (calls || (loadedAgain() && link.kept?.visit)) link.cid = link.kept?.cid ?? cid;
  return link;
}

/** Whether `address` brings a token or a secret: following it comes in anew. */
export const holdsLink = (address) => Object.values(fragmentOf(address)).some(Boolean);

function fragmentOf(address) {
  const fragment = new URLSearchParams(new URL(address).hash.slice(1));
  return { token: fragment.get("token"), secret: fragment.get("u") };
}

/** Who is to be called by this link and was not yet, once its secret was handed over; else null. */
export const calling = (link) => link.kept?.to ?? null;

/** The call was placed: a page that is loaded again does not place another. */
export const placed = (link) => keep(link, { ...link.kept, to: null });

/** Whether this link calls nobody (any more), because its call was placed or nothing is known of it. */
export const spent = (link) => link.calls && !link.kept?.secret && calling(link) === null;

/** Whom this link says it calls, before the server was asked whether that is true; null without one. */
export function callee(link) {
  try {
    const [, statement] = link.kept.secret.split(".");
    return JSON.parse(decoded(statement))[TO] ?? null;
  } catch {
    return calling(link);
  }
}

/** What whoever comes by this link is called, as it says; empty lets them say. */
export function called(link) {
  try {
    return JSON.parse(decoded(link.kept.secret.split(".")[1]))[NAME];
  } catch {
    return "";
  }
}

/** Who came by this link and may be called: `reachable` where they came by one of their own, `roams` where it is for any room. */
export function reachOf(link) {
  const reachable = Boolean(link.kept?.token) && link.kept.guest === null;
  return { reachable, roams: reachable && claims(link.kept.token).cid === undefined };
}

/** This page is in (or on its way to) another room now; null: in none. */
export function moveLink(link, cid) {
  link.cid = cid;
  keep(link, { ...link.kept, cid });
}

/** Hand a link's secret over for a token; twice is quiet. Rejects with `Refused` when the link opens nothing any more. */
export async function redeem(link, name) {
  const { secret, attempt } = link.kept ?? {};
  if (!secret) {
    if (link.calls && link.cid === null)
      throw new Refused({ reason: "unauthorized", message: "This link is no longer valid. Ask for a new one." });
    return;
  }
  const given = await post("/api/url", { secret, cid: link.calls ? null : link.cid, name, attempt }, "The link opens nothing any more.");
  if (link.calls) link.cid = given.cid;
  keep(link, { token: given.token, resume: null, guest: null, named: false, cid: given.cid, to: given.to });
}

/** The address of the page of `room`, a cid or the part after its colon. */
export const addressOf = (room) => `/r/${encodeURIComponent(room).replace("%3A", ":")}`;

/** Keep what to come back with, so that a page that is loaded again is the same person. */
export const keepResume = (link, resume) => keep(link, { ...link.kept, resume });

/**
 * Keep the `name` of who is inside, or null outside, so that a page that is loaded again goes back in by itself; `waits`
 * while they only wait there, for their call to be answered or for calls.
 */
export function keepVisit(link, name, waits = false) {
  if (link.kept) keep(link, { ...link.kept, visit: name, waits });
}

/** The name under which this page was inside when it was loaded again, and whether it `waits`; null outside. */
export function visitBefore(link) {
  if (!loadedAgain() || typeof link.kept?.visit !== "string") return null;
  return { name: link.kept.visit, waits: Boolean(link.kept.waits) };
}

/** A copy of a tab throws nobody out: only a page that was loaded again goes on. */
const loadedAgain = () => performance.getEntriesByType("navigation")[0]?.type === "reload";

/**
 * The first message on a connection of `name`: to resume, else with a token. `refused` is the type of the one that the
 * server did not accept, or null; `seen` is the last event known. Rejects with `Refused` when there is no way in.
 */
export async function firstMessage(link, name, refused, seen) {
  if (link.kept && link.kept.guest !== null && link.kept.guest !== name) keep(link, null); // somebody else sits here now
  if (refused === "resume") keep(link, { ...link.kept, resume: null });
  if (refused === "authenticate") keep(link, { ...link.kept, token: null });
  const resume = link.kept?.resume;
  if (resume) return { type: "resume", version: PROTOCOL_VERSION, resume_token: resume, seen };
  const token = await joinToken(link, name);
  return { type: "authenticate", version: PROTOCOL_VERSION, token, client: "browser", name };
}

async function joinToken(link, name) {
  await redeem(link, name);
  const { token = null, guest = name } = link.kept ?? {};
  if (token !== null) return token;
  if (guest === null)
    throw new Refused({ reason: "unauthorized", message: "This link is no longer valid. Ask for a new one." });
  const body = await post("/api/guest", { cid: link.cid, name }, "The server does not let guests in.");
  keep(link, { token: body.token, resume: null, guest: name });
  return body.token;
}

/** The answer to `value`; rejects with `Refused`, in `words` where the server gave none. */
async function post(address, value, words) {
  let response;
  try {
    response = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(value),
      credentials: "omit",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Refused({ reason: "unavailable", message: "The server cannot be reached." });
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok)
    throw new Refused({
      reason: response.status >= 500 || response.status === 429 ? "unavailable" : (body.reason ?? "unauthorized"),
      message: body.message ?? words,
    });
  return body;
}

/**
 * Until this tab closes: `token`, `resume`, the name of the `guest` they are for (null came by a
 * personal link), whether that link has `named` the person already, the name of the `visit` while inside or while it
 * `waits`, and the `cid` of the room it is in, unless that is the address's; before that the `secret` of a signed link and
 * the `attempt` to hand it over; of a link that calls, whom it is `to`.
 */
function keep(link, kept) {
  link.kept = kept;
  try {
    sessionStorage.setItem(key(link), JSON.stringify(kept));
  } catch {
    // a browser that keeps nothing: the token lives as long as the page
  }
}

/** Whether the token says what its owner is called (RFC 7519, section 3); the server decides whether it is true. */
const namesSomebody = (token) => Boolean(claims(token).name);

function claims(token) {
  try {
    return JSON.parse(decoded(token.split(".")[1]));
  } catch {
    return {};
  }
}

/** Text in base64 for addresses (RFC 4648, section 5). */
const decoded = (text) =>
  new TextDecoder().decode(Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0)));

function cidIn(path) {
  if (!path.startsWith("/r/")) return null;
  let room = path.slice("/r/".length);
  try {
    room = decodeURIComponent(room);
  } catch {
    // a stray percent sign: the server will say that there is no such room
  }
  return room.includes(":") ? room : `audio_room:${room}`;
}

function recall(link) {
  try {
    link.kept = JSON.parse(sessionStorage.getItem(key(link)));
  } catch {
    link.kept = null;
  }
}

const key = (link) => `greenroom.token.${link.place}`;

/** A word of our own, so that a link that is handed over again because an answer was lost counts once. */
const newAttempt = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
