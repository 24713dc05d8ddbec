// Calls that ring: what one client knows of them. Pure, as greenroom/state/rings.py.

const OVER_KEPT = 20;
const MISSED_KEPT = 50;
const FORGOTTEN = "the server has forgotten this call";
const NEVER = ["missed", "cancelled"]; // did not get to answer

/** `going` are calls that are not over, in order of their beginning; `over` and `missed` the last ones, oldest first. */
export const NO_RINGS = { going: [], over: [], missed: [] };

/** Whether somebody who is rung said yes. */
export const saidYes = ({ answer }) => answer === "accepted" || answer === "elsewhere";

/** `user` as somebody who is rung, or undefined. */
export const rungIn = (ring, user) => ring.rung.find((one) => one.user === user);

/** The newest call of room `cid`, going on or over, or undefined. */
export const ringOf = ({ going, over }, cid) =>
  going.find((ring) => ring.cid === cid) ?? over.findLast((ring) => ring.cid === cid);

/** The calls that ring for `me` now, oldest first. */
export const incoming = ({ going }, me) => going.filter((ring) => rungIn(ring, me)?.answer === "ringing");

/** The calls in which somebody `me` rang has not answered yet, and those `me` placed that nobody has come to. */
export const outgoing = ({ going }, me) =>
  going.filter(
    ({ by, phase, rung }) =>
      (by === me && phase === "ringing") || rung.some((one) => one.by === me && one.answer === "ringing"),
  );

/** `rings` after `message`, a ring_changed, rings or missed_calls; the same where that is nothing new. `at`: seconds. */
export function received(rings, message, me, at) {
  switch (message.type) {
    case "ring_changed":
      return withRing(rings, message.ring, me);
    case "rings": {
      const ids = new Set(message.rings.map(({ id }) => id));
      let known = rings;
      for (const ring of rings.going) if (!ids.has(ring.id)) known = withRing(known, forgotten(ring, at), me);
      return { ...known, going: message.rings, over: known.over.filter(({ id }) => !ids.has(id)) };
    }
    case "missed_calls":
      return withMissed(rings, message.calls);
    default:
      return rings;
  }
}

/** `rings` with one missed call, or all of them, looked at. */
export const lookedAt = (rings, call = null) => ({ ...rings, missed: call === null ? [] : rings.missed.filter((one) => one !== call) });

/** `ring` as over because the server knows it no longer, e.g. after a restart. People may talk on. */
const forgotten = (ring, at) => ({
  ...ring,
  rung: ring.rung.map((one) => (one.answer === "ringing" ? { ...one, answer: "cancelled", at } : one)),
  version: ring.version + 1,
  phase: "ended",
  ended_at: at,
  outcome: ring.phase === "connected" ? "ended" : "failed",
  reason: FORGOTTEN,
});

function withRing(rings, ring, me) {
  const known = [...rings.going, ...rings.over].find(({ id }) => id === ring.id);
  if (known && known.version >= ring.version) return rings;
  const others = ({ id }) => id !== ring.id;
  let { going, over } = rings;
  if (ring.phase === "ended") {
    going = going.filter(others);
    over = [...over.filter(others), ring].slice(-OVER_KEPT);
  } else if (going.some(({ cid }) => cid === ring.cid)) going = going.map((one) => (one.cid === ring.cid ? ring : one));
  else going = [...going, ring];
  const rang = !known || rungIn(known, me)?.answer === "ringing";
  const mine = rungIn(ring, me);
  const after = { ...rings, going, over };
  if (!rang || !mine || !NEVER.includes(mine.answer)) return after;
  return withMissed(after, [{ ring: ring.id, cid: ring.cid, by: mine.by, by_name: mine.by_name, at: mine.rung_at }]);
}

function withMissed(rings, calls) {
  const fresh = calls.filter(({ ring, at }) => !rings.missed.some((one) => one.ring === ring && one.at === at));
  return fresh.length === 0 ? rings : { ...rings, missed: [...rings.missed, ...fresh].slice(-MISSED_KEPT) };
}
