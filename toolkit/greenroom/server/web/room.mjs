// What can be asked of a room value: the same answers as greenroom/protocol/room.py and permissions.py.

export const SPEAK = "send-audio";

/** The value of `key` in `mapping`, or undefined; names people chose never reach into Object.prototype. */
export const own = (mapping, key) => (Object.hasOwn(mapping, key) ? mapping[key] : undefined);

/** The role of `user`: the member's, else the one they came with, else `otherwise`. */
export function roleOf(room, user, otherwise = "user") {
  return own(room.members, user)?.role ?? own(room.participants, user)?.role ?? otherwise;
}

/** Whether `user` has `capability` in `room`. An admin may do everything, whatever is granted or revoked. */
export function may(room, user, capability, otherwise = "user") {
  const role = roleOf(room, user, otherwise);
  if (role === "admin") return true;
  const override = own(room.overrides, user);
  if (override?.revoked.includes(capability)) return false;
  return (own(room.grants, role) ?? []).includes(capability) || (override?.granted.includes(capability) ?? false);
}

/** Whether `user` is here and may speak. */
export const onStage = (room, user) => Object.hasOwn(room.participants, user) && may(room, user, SPEAK);

/** The place of `user` in the queue of hands, counted from 1, or null without a hand up. */
export function handPosition(room, user) {
  const place = room.hands.findIndex((hand) => hand.user === user);
  return place < 0 ? null : place + 1;
}

/** Everybody the replica names, in order of joining. Object order would put an all-digit user id first. */
export const people = (room) => Object.values(room.participants).sort((a, b) => a.number - b.number);

/** A name for `user`: as a participant, as a member, or the id. */
export const nameOf = (room, user) =>
  own(room.participants, user)?.name || own(room.members, user)?.name || user;
