// Calling and being called on the page: one room at a time, so taking a call leaves the room one was in.

import { Refused, sentence } from "./connection.mjs";
import { calling, keepVisit, placed, redeem } from "./link.mjs";
import { callHere, endWords } from "./ring-rows.mjs";
import { incoming, lookedAt, ringOf, saidYes } from "./rings.mjs";
import { titleWords } from "./rows.mjs";
import { MicrophoneUnavailable } from "./sound.mjs";
import { notify, silence, startState } from "./state.mjs";

const CALL_ROOM_TYPE = "default";
const PATIENCE_MS = 1_000; // for a server that may not be there when we go
const AGAIN_MS = 2_000;
const PASSING = ["unavailable", "rate_limited"]; // refusals that another try may not meet
const UNHEARD = "Call again to go on without it: you will hear, and not be heard.";

const newCid = () => `${CALL_ROOM_TYPE}:${Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;

/**
 * The calls of one page. `page` is what they act on: its `state` and `set`, `ask(cid, value)`, `request(value, cid)`,
 * `unlock()` inside clicks, `lendMicrophone()`, `connect()`, `goTo(cid, phase)`, `join()` and `endWith(words, mayReturn)`.
 */
export class Calls {
  #link;
  #page;
  #unheard = false; // they were told that nobody will hear them
  #busy = false;

  constructor(link, page) {
    this.#link = link;
    this.#page = page;
  }

  /** Call whoever the page's own link calls, as `name`. Must be called inside a click. */
  async placeByLink(name, callee) {
    const page = this.#page;
    page.unlock();
    page.set({ ...startState(this.#link.cid), phase: "calling", name, callee, asking: !this.#unheard });
    try {
      if (!this.#unheard) await page.lendMicrophone();
    } catch (error) {
      if (!(error instanceof MicrophoneUnavailable)) throw error;
      this.#unheard = true;
      return page.set({ ...startState(this.#link.cid), doorProblem: `${error.message} ${UNHEARD}` });
    }
    page.set({ ...page.state, asking: false, talk: !this.#unheard });
    try {
      await redeem(this.#link, name);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (!PASSING.includes(error.reason)) return page.endWith(sentence(error.message), false);
      page.endWith(null);
      return page.set({ ...startState(this.#link.cid), doorProblem: sentence(error.message) });
    }
    page.set({ ...page.state, cid: this.#link.cid, replica: startState(this.#link.cid).replica, to: calling(this.#link) });
    this.#wait();
    page.connect();
  }

  /** Wait on for an answer, after the page was loaded again. */
  goOn(name) {
    const page = this.#page;
    page.unlock();
    page.set({ ...startState(this.#link.cid), phase: "calling", name, talk: true, to: calling(this.#link) });
    page.connect();
  }

  /** Call `user`, known as `name`; whatever room we are in is left. Must be called inside a click. */
  call(user, name) {
    return this.#alone(async () => {
      const page = this.#page;
      page.unlock();
      const home = await this.#leaveHere();
      page.goTo(newCid(), "calling");
      page.set({ ...page.state, callee: name, to: user, talk: true, home });
      page.lendMicrophone().catch(() => {}); // it is asked for again, in words, when they answer
      this.#wait();
      await this.begin();
    });
  }

  /** Ring whom we are about to call; twice is quiet. Call when connected. */
  async begin() {
    const page = this.#page;
    const { to, cid } = page.state;
    if (to === null) return; // it rings already: what became of it is told after the welcome
    try {
      await page.ask(cid, { do: "start_ring", members: [to] });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (page.state.phase !== "calling" || page.state.cid !== cid) return;
      if (PASSING.includes(error.reason)) return void setTimeout(() => this.#stillAboutTo(cid) && this.begin(), AGAIN_MS);
      if (error.reason !== "already") return page.endWith(sentence(error.message), false);
    }
    if (!this.#stillAboutTo(cid)) return;
    placed(this.#link);
    page.set({ ...page.state, to: null });
    if (ringOf(page.state.rings, cid) === undefined) this.#comeIn(); // they are in the call, or called into it by others
  }

  /** Do what follows from what became of our call; `all`: the server has told of every call there is. */
  follow(all) {
    const page = this.#page;
    const { phase, cid, rings, me, to } = page.state;
    if (phase !== "calling") return;
    const ring = ringOf(rings, cid);
    if (ring === undefined) return all && to === null ? page.endWith("The call is over.", false) : undefined;
    if (ring.phase !== "ended") return ring.rung.some(saidYes) ? this.#comeIn() : undefined;
    placed(this.#link);
    if (ring.merged_into === null) return page.endWith(sentence(endWords(ring, me)), false);
    const { home } = page.state;
    page.goTo(ring.merged_into, "joining");
    page.set({ ...page.state, talk: true, home });
    page.join();
  }

  /** Take a call; whatever room we are in is left. Must be called inside a click. */
  accept(cid) {
    return this.#alone(async () => {
      const page = this.#page;
      page.unlock();
      page.set(silence(page.state, true));
      if (!(await page.request({ do: "accept_ring" }, cid))) return;
      const home = await this.#leaveHere();
      page.goTo(cid, "joining");
      page.set({ ...page.state, talk: true, home });
      page.join();
    });
  }

  decline(cid) {
    this.#page.request({ do: "reject_ring" }, cid);
  }

  /** Take the call that has rung longest, or decline it; without one, nothing. */
  acceptFirst() {
    const [ring] = incoming(this.#page.state.rings, this.#page.state.me);
    if (ring) this.accept(ring.cid);
  }

  declineFirst() {
    const [ring] = incoming(this.#page.state.rings, this.#page.state.me);
    if (ring) this.decline(ring.cid);
  }

  /** Let what rings now ring without a sound, or with it again. */
  silence(on) {
    this.#page.set(silence(this.#page.state, on));
  }

  /** Call nobody into room `cid` any more. */
  cancel(cid) {
    this.#page.request({ do: "cancel_ring" }, cid);
  }

  /** Give the call up that nobody has answered yet. */
  async hangUp() {
    const page = this.#page;
    const { cid } = page.state;
    await this.#quietly(cid, { do: "cancel_ring" });
    if (page.state.phase === "calling" && page.state.cid === cid) page.endWith("You hung up.", false);
  }

  /** A missed call was looked at. */
  dismiss(call) {
    this.#page.set({ ...this.#page.state, rings: lookedAt(this.#page.state.rings, call) });
  }

  callBack(call) {
    this.dismiss(call);
    this.call(call.by, call.by_name);
  }

  #comeIn() {
    const page = this.#page;
    page.set({ ...page.state, phase: "joining" });
    page.join();
  }

  #stillAboutTo(cid) {
    const { state } = this.#page;
    return state.phase === "calling" && state.cid === cid && state.to !== null;
  }

  #wait() {
    keepVisit(this.#link, this.#page.state.name, true);
  }

  /** Leave the room or give up the call there is. Resolves with where to come back to: the room, or where a call took us from. */
  async #leaveHere() {
    const page = this.#page;
    const { state } = page;
    if (state.phase === "calling") await this.#quietly(state.cid, { do: "cancel_ring" });
    if (state.phase !== "joined") return state.home;
    await this.#quietly(state.cid, { do: "leave" });
    return callHere(state) === undefined ? { cid: state.cid, title: titleWords(state) } : state.home;
  }

  #quietly(cid, value) {
    const asked = this.#page.ask(cid, value).catch(() => {});
    return Promise.race([asked, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  }

  /** Do one thing at a time: who presses twice means it once. */
  async #alone(work) {
    if (this.#busy) return;
    this.#busy = true;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#page.set(notify(this.#page.state, sentence(error.message), "bad", performance.now()));
    } finally {
      this.#busy = false;
    }
  }
}
