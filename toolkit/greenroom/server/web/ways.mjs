// Which way sound should go: straight to the other person, or through the server. Pure, as greenroom/policies/peer_to_peer.py
// and greenroom/engine/ways.py.

import { SPEAK, may, own } from "./room.mjs";

const MOST_TRIES = 6;
const MOST_EARLY = 32;

const through = (reason = "") => ({ kind: "through", reason });
const WAITING = { kind: "waiting" };

/** Where sound should go; `givenUp` maps numbers of people who were not reached directly to why. */
export function planWay(room, me, givenUp) {
  const myself = room && own(room.participants, me);
  if (!myself || !room.settings.peer_to_peer) return through();
  const here = Object.values(room.participants);
  if (here.length === 1) return WAITING;
  if (room.ended_at !== null) return through("the room has ended");
  if (here.length > 2) return through(`${here.length} people are here`);
  if (!here.every(({ user }) => may(room, user, SPEAK)))
    return through("not everybody here may speak, and only the server can see to that");
  const { user: partner, name, number, microphone, suspended } = here.find(({ user }) => user !== me);
  if (givenUp.has(number)) return through(givenUp.get(number));
  return { kind: "straight", partner, name, number, offers: myself.number < number, audible: microphone && !suspended };
}

/** Why sound does not go straight to `name`, as they say. */
export function failureWords(reason, name) {
  switch (reason) {
    case "lost":
      return `the direct way to ${name} was lost`;
    case "unreadable":
      return `${name}'s program and ours do not understand each other`;
    case "unwilling":
      return `${name}'s side goes through the server`;
    default:
      return `no direct way to ${name} was found`;
  }
}

/** What one visit remembers about ways: the plan, what was tried in vain, what was said too early. */
export class Ways {
  plan = through();
  #room = null;
  #me = null;
  #joinedAt = null;
  #givenUp = new Map();
  #tries = new Map();
  #early = [];
  #earlyFrom = null;

  /** Whether a try waits that the other person asked for. */
  get askedAnew() {
    return this.#early.length > 0;
  }

  /** Whether we are alone because we came in anew, as after a restart of the server: the other one may follow. */
  get cameAnew() {
    return this.plan === WAITING && this.#joinedAt !== null && this.#joinedAt !== this.#joinedAtNow;
  }

  get #joinedAtNow() {
    return (this.#room && own(this.#room.participants, this.#me)?.joined_at) ?? null;
  }

  follow(room, me) {
    this.#room = room;
    this.#me = me;
    if (room?.settings.peer_to_peer) {
      const others = Object.values(room.participants).filter(({ user }) => user !== me);
      const here = new Set(others.map(({ number }) => number));
      const kept = [...this.#givenUp].filter(([number]) => here.has(number));
      // Back to two after three, the server goes on: changing the way is heard, and nobody asked for it.
      this.#givenUp = new Map(here.size > 1 ? [...here].map((number) => [number, "somebody else was here too"]) : kept);
    }
    this.plan = planWay(room, me, this.#givenUp);
    if (this.plan.kind === "straight") this.#joinedAt = this.#joinedAtNow;
  }

  tried({ number }) {
    this.#tries.set(number, (this.#tries.get(number) ?? 0) + 1);
  }

  giveUp({ number }, why) {
    this.#givenUp.set(number, why);
    this.follow(this.#room, this.#me);
  }

  /** What somebody asks for outside of a try that is under way: "nothing", "another try" or "too much". */
  said(user, signal) {
    if (signal.peer === "candidate") {
      if (user === this.#earlyFrom && this.#early.length < MOST_EARLY) this.#early.push(signal);
      return "nothing";
    }
    const wanted = planWay(this.#room, this.#me, new Map());
    if (wanted.kind !== "straight" || wanted.partner !== user) return "nothing";
    if (signal.peer === "failed") {
      if (this.plan.kind === "straight") this.giveUp(this.plan, failureWords(signal.reason, this.plan.name));
      return "nothing";
    }
    if (signal.peer !== (wanted.offers ? "ready" : "offer")) return "nothing";
    if ((this.#tries.get(wanted.number) ?? 0) >= MOST_TRIES) return "too much";
    this.#early = [signal];
    this.#earlyFrom = user;
    this.#givenUp.delete(wanted.number);
    this.follow(this.#room, this.#me);
    return "another try";
  }

  /** What `plan.partner` said before we began, once. */
  takeEarly({ partner }) {
    const early = this.#earlyFrom === partner ? this.#early : [];
    this.#early = [];
    this.#earlyFrom = null;
    return early;
  }
}
