// Sound straight to the other person of a room, and through the server whenever that does not work, as
// greenroom/engine/direct_way.py and call_media.py.

import { preferRedundancy } from "./sound.mjs";
import { Ways, failureWords } from "./ways.mjs";

const DIRECT_MS = 3_000;
const DISCONNECTED_PATIENCE_MS = 2_500;
const COME_BACK_MS = 15_000;

/** One try, and what becomes of it. `tell(signal)` reaches the other person; `onLost(why)`: a way that stood is gone. */
class DirectWay {
  #tell;
  #onLost;
  #peer = null;
  #attempt = "";
  #offer = null;
  #answered = false;
  #described = false;
  #found = [];
  #begin = null;
  #work = new Promise((begin) => (this.#begin = begin)); // signals wait for the connection they are about
  #stands = false;
  #why = "";
  #failure = "no_way";
  #patience = null;
  #settle = null;

  constructor(plan, { tell, onLost }) {
    this.plan = plan;
    this.#tell = tell;
    this.#onLost = onLost;
  }

  get stands() {
    return this.#stands;
  }

  /** Resolves with the peer connection once sound can flow; rejects within three seconds, with why in words. */
  async open(iceServers, said) {
    if (this.#why) throw new Error(this.#why);
    const settled = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    const timer = setTimeout(() => this.abandon(failureWords("no_way", this.plan.name)), DIRECT_MS);
    const peer = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#peer = peer;
    peer.onicecandidate = ({ candidate }) => candidate?.protocol === "udp" && this.#foundOne(candidate.candidate);
    peer.onconnectionstatechange = () => this.#follow(peer);
    this.#begin();
    for (const signal of said) this.heard(signal);
    try {
      if (this.plan.offers) {
        preferRedundancy(peer.addTransceiver("audio", { direction: "sendrecv" }));
        this.#attempt = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
        await peer.setLocalDescription();
        this.#offer = { peer: "offer", attempt: this.#attempt, sdp: peer.localDescription.sdp };
        this.#describe(this.#offer);
      } else if (this.#attempt === "") this.#tell({ peer: "ready" });
      await settled;
    } finally {
      clearTimeout(timer);
      this.#settle = null;
    }
    this.#stands = true;
    this.#failure = "lost";
    return peer;
  }

  /** Whether a relay carries the sound. */
  async relayed() {
    const reports = [...((await this.#peer?.getStats()) ?? new Map()).values()];
    const byId = new Map(reports.map((report) => [report.id, report]));
    const pair = byId.get(reports.find(({ type }) => type === "transport")?.selectedCandidatePairId);
    return [pair?.localCandidateId, pair?.remoteCandidateId].some((id) => byId.get(id)?.candidateType === "relay");
  }

  /** Take what the other person says; false when it asks for a new try. */
  heard(signal) {
    switch (signal.peer) {
      case "offer":
        if (this.plan.offers || signal.attempt === this.#attempt) return true;
        if (this.#attempt !== "") return false;
        this.#attempt = signal.attempt;
        break;
      case "ready":
        if (this.#offer !== null && !this.#answered) this.#tell(this.#offer);
        return !(this.plan.offers && this.#stands);
      case "answer":
        if (signal.attempt !== this.#attempt || this.#answered || !this.plan.offers) return true;
        this.#answered = true;
        break;
      case "candidate":
        if (signal.attempt !== this.#attempt) return true;
        break;
      case "failed":
        if (signal.attempt === "" || signal.attempt === this.#attempt) {
          this.#failure = null; // they know
          this.abandon(failureWords(signal.reason, this.plan.name));
        }
        return true;
      default:
        return true;
    }
    this.#work = this.#work.then(() => this.#do(signal)).catch(() => this.#unreadable());
    return true;
  }

  /** Give the path up, or the search for it. */
  abandon(why) {
    this.#why ||= why;
    if (this.#settle) this.#settle.reject(new Error(this.#why));
    else if (this.#stands) {
      this.#stands = false;
      this.#onLost(this.#why);
    }
  }

  /** End it, and tell the other person why unless they know. Twice is quiet. */
  close() {
    const failure = this.#failure;
    this.#failure = null;
    const attempt = this.#described || !this.plan.offers ? this.#attempt : "";
    if (failure !== null) this.#tell({ peer: "failed", reason: this.#stands ? "unwilling" : failure, attempt });
    this.#stands = false;
    clearTimeout(this.#patience);
    if (this.#peer === null) return;
    this.#peer.onicecandidate = this.#peer.onconnectionstatechange = null;
    this.#peer.close();
  }

  async #do(signal) {
    const peer = this.#peer;
    if (peer.signalingState === "closed") return;
    if (signal.peer === "candidate") {
      // One address that cannot be used is no reason to give up.
      await peer.addIceCandidate({ candidate: signal.candidate, sdpMLineIndex: 0 }).catch(() => {});
    } else {
      await peer.setRemoteDescription({ type: signal.peer, sdp: signal.sdp });
      if (signal.peer === "answer") return;
      const [line] = peer.getTransceivers();
      line.direction = "sendrecv";
      preferRedundancy(line);
      await peer.setLocalDescription();
      this.#describe({ peer: "answer", attempt: this.#attempt, sdp: peer.localDescription.sdp });
    }
  }

  #unreadable() {
    if (this.#peer.signalingState === "closed") return;
    this.#failure &&= "unreadable";
    this.abandon(failureWords("unreadable", this.plan.name));
  }

  #describe(description) {
    this.#tell(description);
    this.#described = true;
    for (const candidate of this.#found.splice(0)) this.#foundOne(candidate);
  }

  #foundOne(candidate) {
    if (this.#described) this.#tell({ peer: "candidate", attempt: this.#attempt, candidate });
    else this.#found.push(candidate);
  }

  #follow(peer) {
    clearTimeout(this.#patience);
    const lost = () => this.abandon(failureWords(this.#stands ? "lost" : "no_way", this.plan.name));
    if (peer.connectionState === "connected") this.#settle?.resolve();
    else if (peer.connectionState === "failed" || peer.connectionState === "closed") lost();
    else if (peer.connectionState === "disconnected") this.#patience = setTimeout(lost, DISCONNECTED_PATIENCE_MS);
  }
}

/**
 * The way the sound of one visit takes. `tell(to, signal)` reaches another person, `iceServers()` resolves with servers,
 * `again()` asks for `connect` soon, `onPath({ way, reason })` hears which way it is, `onLost()` that a way was lost.
 */
export class Route {
  #sound;
  #tell;
  #iceServers;
  #again;
  #onPath;
  #onLost;
  #ways = new Ways();
  #way = null;
  #target = null; // what `connect` is doing or did: straight, waiting, through
  #turn = 0;
  #comeBack = null;

  constructor(sound, { tell, iceServers, again, onPath, onLost }) {
    this.#sound = sound;
    this.#tell = tell;
    this.#iceServers = iceServers;
    this.#again = again;
    this.#onPath = onPath;
    this.#onLost = onLost;
  }

  /** Whether what happens to the server's sound does not matter here. */
  get past() {
    return this.#target === "straight" || this.#target === "waiting";
  }

  /** Plan for the room as it is now. */
  follow(room, me) {
    this.#ways.follow(room, me);
    this.#followPlan();
  }

  /** Take what the other person says about a direct way. */
  said(user, signal) {
    const way = this.#way;
    if (way !== null && way.plan.partner === user && way.heard(signal)) return;
    const asked = this.#ways.said(user, signal);
    if (asked === "another try" && this.#target !== null) {
      if (way !== null && !way.stands) way.abandon("they began anew");
      this.#again();
    } else if (asked === "too much") this.#tell(user, { peer: "failed", reason: "unwilling", attempt: "" });
    else this.#followPlan();
  }

  /** Connect the sound, replacing what was connected before. Rejects with what the server says. */
  async connect() {
    const turn = ++this.#turn;
    this.#drop();
    this.#target = null;
    if (this.#ways.plan.kind === "straight") {
      this.#target = "straight";
      const connected = await this.#straight(this.#ways.plan);
      if (connected || turn !== this.#turn) return;
    }
    const { plan } = this.#ways;
    this.#target = plan.kind;
    if (plan.kind === "straight") return this.#again();
    if (plan.kind === "waiting") {
      this.#sound.disconnect();
      return this.#onPath({ way: "waiting", reason: "" });
    }
    this.#onPath({ way: "forwarded", reason: plan.reason });
    await this.#sound.connect();
  }

  /** End what goes past the server. Twice is quiet. */
  close() {
    this.#turn += 1;
    this.#drop();
    this.#target = null;
  }

  async #straight(plan) {
    this.#sound.disconnect();
    this.#onPath({ way: "looking", reason: plan.name });
    this.#ways.tried(plan);
    const turn = this.#turn;
    const way = new DirectWay(plan, {
      tell: (signal) => this.#tell(plan.partner, signal),
      onLost: (why) => {
        this.#ways.giveUp(way.plan, why);
        this.#onLost();
      },
    });
    this.#way = way;
    try {
      const peer = await way.open(await this.#iceServers(), this.#ways.takeEarly(plan));
      if (turn !== this.#turn) return way.close();
      await this.#sound.adopt(peer, way.plan);
      this.#onPath({ way: (await way.relayed()) ? "relayed" : "direct", reason: "" });
      return true;
    } catch (error) {
      if (turn !== this.#turn) return false;
      this.#target = null;
      if (!this.#ways.askedAnew) this.#ways.giveUp(way.plan, error.message);
      this.#drop();
      return false;
    }
  }

  #followPlan() {
    const { plan } = this.#ways;
    const way = this.#way;
    if (way !== null) {
      if (plan.kind === "straight" && plan.partner === way.plan.partner) {
        way.plan = plan;
        if (way.stands) this.#sound.hearAs(plan);
      } else if (way.stands && this.#ways.cameAnew)
        this.#comeBack ??= setTimeout(() => this.#stopWaiting(), COME_BACK_MS);
      else if (way.stands) this.#again();
      else way.abandon(plan.reason ?? "they are gone");
    } else if (this.#target !== null && this.#target !== plan.kind) this.#again();
    else if (this.#target === "through" && plan.kind === "through") this.#onPath({ way: "forwarded", reason: plan.reason });
  }

  #stopWaiting() {
    this.#comeBack = null;
    if (this.#ways.plan.kind === "waiting") this.#again();
  }

  #drop() {
    clearTimeout(this.#comeBack);
    this.#comeBack = null;
    const way = this.#way;
    this.#way = null;
    way?.close();
  }
}
