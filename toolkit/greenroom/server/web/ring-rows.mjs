// Calls that ring as rows and words. Pure, as greenroom/views/rings.py.

import { sentence } from "./connection.mjs";
import { incoming, outgoing, ringOf, rungIn, saidYes } from "./rings.mjs";

const NAMES_SHOWN = 3;

/** What rings for `me`, oldest first: `{ id, cid, caller, words, others }`. */
export const incomingRows = (rings, me) =>
  incoming(rings, me).map((ring) => {
    const mine = rungIn(ring, me);
    const others = ring.rung.filter(({ user }) => user !== me).map(({ name }) => name);
    return {
      id: ring.id,
      cid: ring.cid,
      caller: mine.by_name,
      words: incomingWords(ring, mine),
      others: others.length > 0 ? `with ${enumerate(others)}` : "",
    };
  });

/** Whom `me` rings, oldest first: `{ id, cid, words, people }`. */
export const outgoingRows = (rings, me) =>
  outgoing(rings, me).map((ring) => {
    const mine = ring.rung.filter(({ by }) => by === me);
    return { id: ring.id, cid: ring.cid, words: callingWords(mine), people: mine.map((rung) => `${rung.name}: ${answerWord(rung)}`) };
  });

/** What was missed, newest first: `{ key, by, caller, words, at, call }`; `at` is in wall-clock seconds. */
export const missedRows = ({ missed }) =>
  missed
    .map((call) => ({
      key: `${call.ring} ${call.at}`,
      by: call.by,
      caller: call.by_name,
      words: `missed call from ${call.by_name}`,
      at: call.at,
      call,
    }))
    .reverse();

export function incomingWords(ring, mine) {
  const into = mine.by !== ring.by || !ring.placed ? "calls you into a call" : "calls you";
  return `${mine.by_name} ${into}${isTitled(ring) ? `: ${ring.title}` : ""}`;
}

/** What somebody who is rung did, with what they said to it. */
export function answerWord(rung) {
  if (rung.answer === "ringing") return rung.reached ? "rings" : "is not connected; rings as soon as they are";
  const word = rung.here ? "in the call" : ANSWERS[rung.answer];
  return rung.reason ? `${word} (${rung.reason})` : word;
}

/** How a call that is over ended for `me`, e.g. `Bo declined: in a meeting`, `Bo did not answer`. */
export function endWords(ring, me) {
  const reason = ring.reason ? `: ${ring.reason}` : "";
  const names = enumerate(ring.rung.map(({ name }) => name)) || ring.by_name;
  const mine = rungIn(ring, me)?.answer;
  const one = ring.rung.length === 1;
  switch (ring.outcome) {
    case "ended": {
      const talked = talkedSeconds(ring);
      return talked >= 1 ? `the call ended after ${duration(talked)}${reason}` : `the call ended${reason}`;
    }
    case "declined":
      return mine === "declined" ? `you declined${reason}` : `${names} declined${reason}`;
    case "busy":
      return mine === "busy" ? `you are busy${reason}` : `${names} ${one ? "is" : "are"} busy${reason}`;
    case "missed":
      if (ring.by !== me) return `you missed the call from ${ring.by_name}`;
      if (ring.rung.length > 0 && ring.rung.every(({ reached }) => !reached)) return `${names} ${one ? "is" : "are"} not connected`;
      return one ? `${names} did not answer` : "nobody answered";
    case "cancelled":
      return ring.ended_by === me ? `you hung up${reason}` : `${ring.by_name} hung up${reason}`;
    case "merged":
      return "they called you at the same time; that call goes on";
    default:
      return `the call could not be connected${reason}`;
  }
}

/** The call this page is in or waits for, or undefined: the ring that its room came with. */
export const callHere = ({ rings, cid }) => {
  const ring = ringOf(rings, cid);
  return ring?.placed ? ring : undefined;
};

/** What is said about calls when `rings` become `after`: `{ text, urgent }` each. */
export function ringNews(rings, after, me) {
  const rang = new Set(incoming(rings, me).map(({ id }) => id));
  const calls = incomingRows(after, me).filter(({ id }) => !rang.has(id));
  const missed = missedRows(after).filter(({ call }) => !rings.missed.includes(call));
  const waited = new Set(outgoingRows(rings, me).flatMap(({ people }) => people));
  const told = outgoingRows(after, me).flatMap(({ people }) => people).filter((words) => !waited.has(words));
  return [
    ...calls.map(({ words }) => ({ text: `${sentence(words)} Accept with Alt, Shift and A, or decline with Alt, Shift and D.`, urgent: true })),
    ...missed.map(({ words }) => ({ text: sentence(words), urgent: false })),
    ...told.map((text) => ({ text: sentence(text), urgent: false })),
  ];
}

/** The wait for an answer: whom it is about, `Calling Ann…`, and what each said who was rung. */
export function waitingRow({ phase, rings, cid, me, callee }) {
  const ring = ringOf(rings, cid);
  const name = (ring && partners(ring, me)) || callee;
  if (phase === "joining") return { name, words: `Connecting you with ${name}…`, people: [] };
  const row = outgoingRows(rings, me).find((one) => one.cid === cid);
  return row ? { name, words: sentence(row.words), people: row.people } : { name, words: `Calling ${name}…`, people: [] };
}

/** Everybody a call is between but `me`, in words. */
export const partners = ({ by, by_name, rung }, me) =>
  enumerate([{ user: by, name: by_name }, ...rung].filter(({ user }) => user !== me).map(({ name }) => name));

function callingWords(rung) {
  const names = enumerate(rung.filter(({ answer }) => answer === "ringing").map(({ name }) => name));
  return names ? `calling ${names}…` : "connecting…";
}

/** `Ann, Bo, Cy and 4 more`; empty for nobody. */
export function enumerate(names) {
  const shown = names.slice(0, NAMES_SHOWN);
  const rest = names.length - shown.length;
  if (rest > 0) return `${shown.join(", ")} and ${rest} more`;
  return shown.length > 1 ? `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}` : shown.join("");
}

/** `seconds` in at most two units: `now`, `12 s`, `3 min`, `1 h 05 min`, `2 d`. */
export function duration(seconds) {
  const whole = Math.floor(Math.max(0, seconds));
  if (whole < 1) return "now";
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)} h ${String(Math.floor((whole % 3_600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(whole / 86_400)} d`;
}

const talkedSeconds = ({ connected_at, ended_at }) =>
  connected_at === null || ended_at === null ? 0 : Math.max(0, ended_at - connected_at);

const isTitled = ({ title, cid }) => title !== "" && title !== cid.slice(cid.indexOf(":") + 1);

const ANSWERS = {
  accepted: "accepted",
  elsewhere: "came in",
  declined: "declined",
  busy: "busy",
  missed: "did not answer",
  cancelled: "no longer rings",
};
