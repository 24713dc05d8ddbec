// The WebSocket to the server: first message, requests with their answers, heartbeat, coming back after a loss.

export const PROTOCOL_VERSION = 1;

const DELAYS_SECONDS = [0, 0.3, 1.2, 2.7, 4.8, 7];
const JITTER_SECONDS = 1;
const DEAD_AFTER_SECONDS = 15;
const OPENING_SECONDS = 10;
const ANSWER_SECONDS = 20;
const UNAUTHORIZED = 4401;
/** Close codes after which trying again by ourselves would be wrong, and what to say. */
const FINAL = new Map([
  [4403, "This server does not let you in from here."],
  [4409, "You joined this room in another window or on another device."],
  [4426, "This page is older than the server. Load it again."],
]);

/** Seconds to wait before attempt number `attempt` (0 is the first); `jitter` is from 0 to 1. */
export function nextAttempt(attempt, jitter) {
  const delay = DELAYS_SECONDS[Math.min(Math.max(attempt, 0), DELAYS_SECONDS.length - 1)];
  return delay + Math.min(delay, JITTER_SECONDS) * Math.min(Math.max(jitter, 0), 1);
}

/** The server said no; `reason` is its kind, the message is for people. */
export class Refused extends Error {
  constructor({ reason, message, missing = null, requestable = false }) {
    super(message);
    Object.assign(this, { reason, missing, requestable });
  }
}

/** `words` as a sentence: the server's begin in lower case and end without a full stop. */
export const sentence = (words) =>
  words.charAt(0).toLocaleUpperCase() + words.slice(1) + (/[.!?…]$/u.test(words) ? "" : ".");

const unavailable = (message) => new Refused({ reason: "unavailable", message });

/** A name for one request; `crypto.randomUUID` does not exist on plain http. */
const newOp = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * One connection that comes back by itself until it is closed.
 *
 * `hello(refused)` gives the first message, or rejects when there is none to send; `refused` is the type of the first
 * message that the server did not accept last time, or null. `onMessage(message)` gets everything that is not an answer; `onPhase(phase, detail)` hears "connecting", "online", "reconnecting" (with
 * `seconds`) and "closed" (with `words`).
 */
export class Connection {
  #address;
  #hello;
  #onMessage;
  #onPhase;
  #socket = null;
  #pending = new Map();
  #refused = null;
  #attempt = 0;
  #goodbye = null;
  #timer = null;
  #heartbeat = null;
  #heardAt = 0;
  #online = false;
  #closed = false;

  constructor(address, { hello, onMessage, onPhase }) {
    this.#address = address;
    this.#hello = hello;
    this.#onMessage = onMessage;
    this.#onPhase = onPhase;
  }

  get online() {
    return this.#online;
  }

  open() {
    this.#onPhase("connecting", {});
    this.#connect();
  }

  /** End for good. Twice is quiet. */
  close(words = null) {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#lose();
    for (const op of [...this.#pending.keys()]) this.#settle(op, null, unavailable("The connection was closed."));
    this.#onPhase("closed", { words });
  }

  /** Try now rather than later: the network is back, or the page is in front again. */
  hurry() {
    if (this.#closed) return;
    if (this.#socket === null) {
      clearTimeout(this.#timer);
      this.#connect();
    } else if (this.#online) this.#beat();
  }

  /** Resolves when the server has kept `request`; rejects with `Refused`. Sent again, with one effect, after a loss. */
  do(cid, request) {
    return this.#ask((op) => ({ type: "do", op, cid, request }), true);
  }

  /** Resolves with the SDP answer to `offer`. Not repeated: another connection needs another offer. */
  attach(cid, offer) {
    return this.#ask((op) => ({ type: "attach", op, cid, offer }), false);
  }

  /** Resolves with the answer to `question`; rejects with `Refused`. */
  ask(question) {
    return this.#ask((op) => ({ type: "ask", op, question }), true);
  }

  /** Send what needs no answer; nothing while offline. */
  tell(message) {
    if (this.#online) this.#socket.send(JSON.stringify(message));
  }

  #ask(make, repeat) {
    const op = newOp();
    const message = make(op);
    return new Promise((resolve, reject) => {
      if (this.#closed || (!repeat && !this.#online)) return reject(unavailable("There is no connection to the server."));
      const timer = setTimeout(
        () => this.#settle(op, null, unavailable("The server did not answer in time. Try again.")),
        ANSWER_SECONDS * 1000,
      );
      this.#pending.set(op, { message, repeat, resolve, reject, timer });
      this.tell(message);
    });
  }

  #settle(op, value, error = null) {
    const waiting = this.#pending.get(op);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    this.#pending.delete(op);
    if (error) waiting.reject(error);
    else waiting.resolve(value);
  }

  async #connect() {
    let hello;
    try {
      hello = await this.#hello(this.#refused);
    } catch (error) {
      if (error instanceof Refused && error.reason !== "unavailable") return this.close(error.message);
      return this.#later();
    }
    if (this.#closed || this.#socket !== null) return;
    const socket = new WebSocket(this.#address);
    this.#goodbye = null;
    this.#socket = socket;
    const opening = setTimeout(() => this.#lost(socket, 0), OPENING_SECONDS * 1000);
    socket.onopen = () => socket.send(JSON.stringify(hello));
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#heardAt = performance.now();
      const message = JSON.parse(data);
      if (message.type === "welcome") clearTimeout(opening);
      this.#receive(message);
    };
    socket.onclose = ({ code }) => {
      clearTimeout(opening);
      if (code === UNAUTHORIZED) this.#refused = hello.type;
      this.#lost(socket, code, hello.type);
    };
  }

  #receive(message) {
    switch (message.type) {
      case "welcome":
        this.#online = true;
        this.#attempt = 0;
        this.#refused = null;
        this.#heartbeat = setInterval(() => this.#beat(), message.heartbeat_seconds * 1000);
        this.#onMessage(message);
        this.#onPhase("online", {});
        for (const { message: again } of this.#pending.values()) this.tell(again);
        break;
      case "done":
        this.#settle(message.op, null);
        break;
      case "attached":
        this.#settle(message.op, message.answer);
        break;
      case "answer":
        this.#settle(message.op, message.body);
        break;
      case "failed":
        this.#settle(message.op, null, new Refused(message.refusal));
        break;
      case "goodbye":
        this.#goodbye = message;
        this.#onMessage(message);
        break;
      case "pong":
        break;
      default:
        this.#onMessage(message);
    }
  }

  #beat() {
    if (performance.now() - this.#heardAt > DEAD_AFTER_SECONDS * 1000) this.#lost(this.#socket, 0);
    else this.tell({ type: "ping", at: Date.now() / 1000 });
  }

  #lost(socket, code, hello = null) {
    if (socket === null || socket !== this.#socket) return;
    this.#lose();
    if (this.#closed) return;
    for (const [op, { repeat }] of this.#pending)
      if (!repeat) this.#settle(op, null, unavailable("The connection was lost."));
    if (FINAL.has(code)) return this.close(FINAL.get(code));
    // A goodbye without a time to come back is for good, unless there is another way to say who we are.
    if (this.#goodbye?.retry_seconds === null && code !== UNAUTHORIZED) return this.close(sentence(this.#goodbye.reason));
    if (code === UNAUTHORIZED && hello === "authenticate" && this.#attempt > 2)
      return this.close("The link is no longer valid. Ask for a new one.");
    this.#later();
  }

  #lose() {
    const socket = this.#socket;
    this.#socket = null;
    this.#online = false;
    clearInterval(this.#heartbeat);
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #later() {
    if (this.#closed) return;
    const seconds = Math.max(nextAttempt(this.#attempt, Math.random()), this.#goodbye?.retry_seconds ?? 0);
    this.#attempt += 1;
    this.#onPhase("reconnecting", { seconds, attempt: this.#attempt });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), seconds * 1000);
  }
}
