// Sound in and out: one RTCPeerConnection with one microphone line and a few slots, or one line both ways to one person.

const SLOTS = 3;
const HEARD_WITHIN_MS = 400;
const DISCONNECTED_PATIENCE_MS = 2_500;
const FLOOR_DBFS = -96;

/** Offer redundant audio (RFC 2198) before plain Opus, where the browser has both: speech then survives loss. */
export function preferRedundancy(line) {
  const known = globalThis.RTCRtpReceiver?.getCapabilities?.("audio")?.codecs ?? [];
  const wanted = ["audio/red", "audio/opus"].flatMap((type) => known.filter(({ mimeType }) => mimeType === type));
  if (wanted.length > 1) line.setCodecPreferences?.(wanted);
}

/** Why there is no microphone, in words for a person. */
export class MicrophoneUnavailable extends Error {}

/** The offer without addresses hidden behind mDNS names: the server is ICE-lite and learns ours from our checks. */
export const withoutHiddenAddresses = (sdp) =>
  sdp
    .split("\r\n")
    .filter((line) => !(line.startsWith("a=candidate:") && line.includes(".local")))
    .join("\r\n");

/** Level of `samples` (full scale 1.0) in dBFS, −96 to 0. */
export function levelDbfs(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.max(FLOOR_DBFS, 10 * Math.log10(sum / samples.length + 1e-12));
}

/**
 * What is heard and sent. `attach(offer)` resolves with the answer; `onPhase` hears "connecting", "connected" and
 * "lost". Play-back belongs to audio elements; Web Audio only measures.
 */
export class Sound {
  #attach;
  #onPhase;
  #context = null;
  #peer = null;
  #slots = [];
  #line = null;
  #capture = null;
  #captureMeter = null;
  #patience = null;
  #volume = 1;

  constructor({ attach, onPhase }) {
    this.#attach = attach;
    this.#onPhase = onPhase;
  }

  /** Must be called inside a click: browsers let no page sound before one. */
  unlock() {
    this.#context ??= new AudioContext({ latencyHint: "interactive" });
    this.#context.resume().catch(() => {});
    this.#playAll();
  }

  /** Connect, replacing what was connected before. Rejects with what `attach` rejects with. */
  async connect() {
    this.disconnect();
    this.#onPhase("connecting");
    const peer = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
    this.#peer = peer;
    this.#line = peer.addTransceiver("audio", { direction: "sendonly" });
    const slots = Array.from({ length: SLOTS }, () => peer.addTransceiver("audio", { direction: "recvonly" }));
    const receivers = slots.map(({ receiver }) => receiver);
    [this.#line, ...slots].forEach(preferRedundancy);
    peer.onconnectionstatechange = () => this.#follow(peer);
    await peer.setLocalDescription();
    const answer = await this.#attach(withoutHiddenAddresses(peer.localDescription.sdp));
    if (peer !== this.#peer) return;
    await peer.setRemoteDescription({ type: "answer", sdp: answer });
    this.#slots = receivers.map((receiver) => this.#play(receiver));
    await this.#line.sender.replaceTrack(this.#capture?.getAudioTracks()[0] ?? null);
  }

  /** Take a connection that goes straight to the person of `plan`, its first line both ways; whoever made it watches it. */
  async adopt(peer, plan) {
    this.disconnect();
    this.#peer = peer;
    [this.#line] = peer.getTransceivers();
    this.#slots = [this.#play(this.#line.receiver)];
    this.hearAs(plan);
    await this.#line.sender.replaceTrack(this.#capture?.getAudioTracks()[0] ?? null);
    if (peer === this.#peer) this.#onPhase("connected");
  }

  /** Hear the one person under their `number`, or, as the room does not let them be heard, not at all. */
  hearAs({ number, audible }) {
    for (const slot of this.#slots) {
      Object.assign(slot, { number, audible });
      this.#setVolume(slot);
    }
  }

  /** Stop hearing and sending; the microphone stays captured. Twice is quiet. */
  disconnect() {
    clearTimeout(this.#patience);
    const peer = this.#peer;
    this.#peer = this.#line = null;
    for (const { element, source } of this.#slots) {
      source.disconnect();
      element.srcObject = null;
    }
    this.#slots = [];
    if (peer === null) return;
    peer.onconnectionstatechange = null;
    peer.close();
  }

  close() {
    this.disconnect();
    this.closeMicrophone();
    this.#context?.close().catch(() => {});
    this.#context = null;
  }

  /** Ask for the microphone and send it. Rejects with `MicrophoneUnavailable`. `onEnded`: it was unplugged or taken away. */
  async openMicrophone(onEnded) {
    if (this.#capture !== null) return;
    if (!navigator.mediaDevices?.getUserMedia)
      throw new MicrophoneUnavailable(
        "You can listen, but not speak: this page came over plain http, so the browser lends no microphone. Open it over https, or on 127.0.0.1.",
      );
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
      });
    } catch (error) {
      throw new MicrophoneUnavailable(microphoneWords(error.name));
    }
    if (this.#context === null || this.#capture !== null) {
      for (const track of stream.getTracks()) track.stop(); // gone, or asked twice, while the browser asked the person
      return;
    }
    const [track] = stream.getAudioTracks();
    track.contentHint = "speech";
    track.onended = () => {
      this.closeMicrophone();
      onEnded();
    };
    this.#capture = stream;
    this.#captureMeter = this.#meter(stream);
    await this.#line?.sender.replaceTrack(track);
  }

  /** Silence the microphone at once and give it back. Twice is quiet. */
  closeMicrophone() {
    const stream = this.#capture;
    if (stream === null) return;
    this.#capture = null;
    this.#captureMeter?.source.disconnect();
    this.#captureMeter = null;
    for (const track of stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this.#line?.sender.replaceTrack(null).catch(() => {});
  }

  setVolume(volume) {
    this.#volume = volume;
    for (const slot of this.#slots) this.#setVolume(slot);
  }

  /**
   * What is heard and said right now: `heard` maps numbers of people to dBFS, `mine` is the open microphone's level or
   * null.
   */
  measure() {
    const heard = new Map();
    const newest = performance.timeOrigin + performance.now();
    for (const { receiver, meter, number, audible } of this.#slots) {
      if (number !== null) {
        if (audible) heard.set(number, meter());
        continue;
      }
      const [source] = receiver.getContributingSources();
      if (!source || newest - source.timestamp > HEARD_WITHIN_MS) continue;
      heard.set(source.source, Math.max(heard.get(source.source) ?? FLOOR_DBFS, meter()));
    }
    return { heard, mine: this.#captureMeter?.meter() ?? null };
  }

  /** How many packets of sound arrived since the connection began. */
  async packetsReceived() {
    let packets = 0;
    for (const report of (await this.#peer?.getStats())?.values() ?? [])
      if (report.type === "inbound-rtp" && report.kind === "audio") packets += report.packetsReceived;
    return packets;
  }

  /** Whether the browser holds the sound back until there is a click. */
  get blocked() {
    return (
      this.#context?.state !== "running" || this.#slots.some(({ element }) => element.srcObject !== null && element.paused)
    );
  }

  #play(receiver) {
    const stream = new MediaStream([receiver.track]);
    const element = new Audio();
    element.srcObject = stream;
    const slot = { receiver, element, number: null, audible: true, ...this.#meter(stream) };
    this.#setVolume(slot);
    element.play().catch(() => {}); // `measure` reports what the browser holds back
    return slot;
  }

  #setVolume({ element, audible }) {
    element.volume = this.#volume;
    element.muted = this.#volume === 0 || !audible; // phones have a volume of their own and ignore ours
  }

  #playAll() {
    for (const { element } of this.#slots) element.play().catch(() => {});
  }

  #meter(stream) {
    const source = this.#context.createMediaStreamSource(stream);
    const analyser = this.#context.createAnalyser();
    analyser.fftSize = 2048;
    const samples = new Float32Array(analyser.fftSize);
    source.connect(analyser);
    const meter = () => {
      analyser.getFloatTimeDomainData(samples);
      return levelDbfs(samples);
    };
    return { source, meter };
  }

  #follow(peer) {
    if (peer !== this.#peer) return;
    clearTimeout(this.#patience);
    if (peer.connectionState === "connected") this.#onPhase("connected");
    else if (peer.connectionState === "failed") this.#onPhase("lost");
    else if (peer.connectionState === "disconnected")
      this.#patience = setTimeout(() => this.#onPhase("lost"), DISCONNECTED_PATIENCE_MS);
  }
}

function microphoneWords(name) {
  switch (name) {
    case "NotAllowedError":
      return "The browser may not use the microphone. Allow it for this page in the address bar, then try again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No microphone was found. Plug one in, then try again.";
    case "NotReadableError":
      return "The microphone is in use by another program. Close that one, then try again.";
    default:
      return "The microphone could not be opened.";
  }
}
