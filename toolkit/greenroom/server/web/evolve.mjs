// Fold events into the room, as greenroom/protocol/evolve.py does: total, and never in place.
// A test folds the same random events here and there and compares the rooms.

import { SPEAK, may, own } from "./room.mjs";

const CHAT_TAIL = 100;

/** `room` after all `events`, in order. */
export const fold = (room, events) => events.reduce(evolve, room);

/** `room` after `event`. Null is a room that does not exist; only `room_created` changes that. */
export function evolve(room, event) {
  if (event.event === "room_created") return event.room;
  return room === null ? null : (CHANGES.get(event.event)?.(room, event) ?? room);
}

const CHANGES = new Map(
  Object.entries({
    room_updated: (room, { title, starts_at, settings }) => ({ ...room, title, starts_at, settings }),
    grants_changed: (room, { grants }) => closeUnallowed({ ...room, grants }, Object.keys(room.participants)),
    went_live: (room, { at }) => ({ ...room, live: true, live_since: at }),
    live_stopped: (room) => ({ ...room, live: false, live_since: null }),
    room_ended: (room, { at }) => ({
      ...room,
      ended_at: at,
      live: false,
      live_since: null,
      participants: {},
      hands: [],
      invitations: {},
      listed: 0,
    }),
    member_set: (room, { member }) =>
      change({ ...room, members: { ...room.members, [member.user]: member } }, member.user, { role: member.role }),
    member_removed: (room, { user, role }) =>
      change({ ...room, members: without(room.members, user) }, user, { role }),
    participant_joined: add,
    participant_shown: add,
    participant_left: remove,
    participant_hidden: remove,
    participant_listed: (room, { user }) => {
      const known = own(room.participants, user);
      return !known || known.listed ? room : change({ ...room, listed: room.listed + 1 }, user, { listed: true });
    },
    connection_changed: (room, { user, connected }) => change(room, user, { connected }),
    microphone_changed: (room, { user, on, by }) =>
      change(room, user, { microphone: on, muted_by: on ? null : (by ?? null) }),
    camera_changed: (room, { user, on }) => change(room, user, { camera: on }),
    screen_share_changed: (room, { user, on }) => change(room, user, { screen: on }),
    recording_changed: (room, { on }) => ({ ...room, recording: on }),
    suspension_changed: (room, { user, suspended }) => change(room, user, { suspended }),
    permissions_changed: permissionsChanged,
    hand_raised: (room, { hand }) => ({ ...room, hands: [...room.hands.filter((up) => up.user !== hand.user), hand] }),
    hand_lowered: (room, { user, outcome }) => ({
      ...room,
      turns: outcome === "granted" ? { ...room.turns, [user]: (own(room.turns, user) ?? 0) + 1 } : room.turns,
      hands: room.hands.filter((hand) => hand.user !== user),
    }),
    invited_to_stage: (room, { invitation }) => ({
      ...room,
      invitations: { ...room.invitations, [invitation.user]: invitation },
    }),
    invitation_ended: (room, { user }) => ({ ...room, invitations: without(room.invitations, user) }),
    user_blocked: (room, { block }) => ({ ...room, blocked: { ...room.blocked, [block.user]: block } }),
    user_unblocked: (room, { user }) => ({ ...room, blocked: without(room.blocked, user) }),
    message_posted: (room, { message }) => ({ ...room, chat: [...room.chat, message].slice(-CHAT_TAIL) }),
    message_edited: (room, { id, text, at }) => changeMessage(room, id, { text, edited_at: at }),
    message_deleted: (room, { id, by }) => changeMessage(room, id, { text: "", deleted_by: by }),
    counts_changed: (room, { counts }) => ({ ...room, counts }),
  }),
);

function add(room, { participant }) {
  const before = own(room.participants, participant.user);
  return {
    ...room,
    listed: room.listed + Number(participant.listed) - Number(before?.listed ?? false),
    participants: { ...room.participants, [participant.user]: participant },
    next_number: room.next_number && Math.max(room.next_number, participant.number + 1),
  };
}

function remove(room, { user }) {
  const known = own(room.participants, user);
  if (!known) return room;
  return {
    ...room,
    participants: without(room.participants, user),
    listed: Math.max(0, room.listed - Number(known.listed)),
  };
}

function permissionsChanged(room, { user, granted = [], revoked = [] }) {
  const before = own(room.overrides, user) ?? { granted: [], revoked: [] };
  const given = union(before.granted, granted);
  const override = {
    granted: minus(given, revoked),
    revoked: union(minus(before.revoked, granted), revoked),
  };
  const overrides = without(room.overrides, user);
  if (override.granted.length || override.revoked.length) overrides[user] = override;
  return closeUnallowed({ ...room, overrides }, [user]);
}

/** A late word about someone who left is ordinary, and changes nothing. */
function change(room, user, changes) {
  const known = own(room.participants, user);
  if (!known) return room;
  const changed = { ...room, participants: { ...room.participants, [user]: { ...known, ...changes } } };
  return "role" in changes ? closeUnallowed(changed, [user]) : changed;
}

/** Whoever may no longer speak has a closed microphone: opening it again is a wish of its own. */
function closeUnallowed(room, users) {
  const closed = {};
  for (const user of users) {
    const known = own(room.participants, user);
    if (known?.microphone && !may(room, user, SPEAK)) closed[user] = { ...known, microphone: false };
  }
  return { ...room, participants: { ...room.participants, ...closed } };
}

const changeMessage = (room, id, changes) => ({
  ...room,
  chat: room.chat.map((message) => (message.id === id ? { ...message, ...changes } : message)),
});

const without = (mapping, key) => Object.fromEntries(Object.entries(mapping).filter(([known]) => known !== key));
const minus = (names, others) => names.filter((name) => !others.includes(name));
const union = (names, others) => [...names, ...minus(others, names)];
