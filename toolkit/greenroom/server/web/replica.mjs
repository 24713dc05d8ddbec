// A copy of the room, kept by folding the same events as everybody: greenroom/state/replica.py.

import { evolve } from "./evolve.mjs";

export const emptyReplica = (cid) => ({ cid, epoch: -1, seq: 0, room: null });

/**
 * The replica after a `snapshot` or `happened`, what became of the message ("applied", "duplicate", "gap"), and
 * each new event with the room before and after it. After a gap, send `sync`.
 */
export function receive(replica, message) {
  if (message.type === "snapshot") {
    if (message.epoch === replica.epoch && message.seq < replica.seq) return outcome(replica, "duplicate");
    return outcome({ ...replica, epoch: message.epoch, seq: message.seq, room: message.room }, "applied");
  }
  if (message.epoch !== replica.epoch || replica.room === null || message.seq > replica.seq + 1)
    return outcome(replica, "gap");
  const fresh = message.events.slice(Math.max(0, replica.seq + 1 - message.seq));
  if (fresh.length === 0) return outcome(replica, "duplicate");
  const steps = [];
  let room = replica.room;
  for (const event of fresh) {
    const after = evolve(room, event);
    steps.push({ before: room, event, after });
    room = after;
  }
  return outcome({ ...replica, seq: replica.seq + fresh.length, room }, "applied", steps);
}

const outcome = (replica, what, steps = []) => ({ replica, outcome: what, steps });
