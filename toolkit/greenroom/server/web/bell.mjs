// The ring of a call: two soft notes every three seconds, made by Web Audio; nothing is loaded for it.

const EVERY_MS = 3_000;
const NOTES = [
  { hertz: 659.25, after: 0 },
  { hertz: 880, after: 0.22 },
  { hertz: 659.25, after: 0.7 },
  { hertz: 880, after: 0.92 },
];
const NOTE_SECONDS = 0.5;
const PEAK = 0.16;

/** A bell that a browser lets sound after a first click, and that says nothing before one. */
export class Bell {
  #context = null;
  #timer = null;
  #sounding = [];

  /** Must be called inside a click: browsers let no page sound before one. */
  unlock() {
    this.#context ??= new AudioContext();
    this.wake();
  }

  /** Let it sound if the browser does by now, as after the first click on a page that was loaded again. */
  wake() {
    if (this.#context?.state === "suspended") this.#context.resume().catch(() => {});
  }

  /** Ring from now on, or stop at once. Twice is quiet. */
  ring(on) {
    if (on === (this.#timer !== null)) return;
    clearInterval(this.#timer);
    this.#timer = on ? setInterval(() => this.#strike(), EVERY_MS) : null;
    if (on) this.#strike();
    else this.#hush();
  }

  #strike() {
    if (this.#context?.state !== "running") return;
    for (const { hertz, after } of NOTES) {
      const at = this.#context.currentTime + after;
      const note = new OscillatorNode(this.#context, { type: "sine", frequency: hertz });
      const loudness = new GainNode(this.#context, { gain: 0 });
      loudness.gain.setValueAtTime(0, at);
      loudness.gain.linearRampToValueAtTime(PEAK, at + 0.02);
      loudness.gain.exponentialRampToValueAtTime(0.0001, at + NOTE_SECONDS);
      note.connect(loudness).connect(this.#context.destination);
      note.start(at);
      note.stop(at + NOTE_SECONDS);
      this.#sounding.push(note);
      note.onended = () => {
        this.#sounding = this.#sounding.filter((one) => one !== note);
      };
    }
  }

  #hush() {
    for (const note of this.#sounding.splice(0)) note.disconnect();
  }
}
