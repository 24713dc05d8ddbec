// What a person should be told about an event: words, how it feels, and whether it is theirs to act on.

import { SPEAK, handPosition, may, nameOf, onStage } from "./room.mjs";

/**
 * Notices for `me`, who came with `role`, about one event, as `{ text, tone, urgent, shown }`. `tone` is info, good, warning or bad; an
 * `urgent` one interrupts a screen reader; one that is not `shown` is spoken only, the page shows it anyway.
 */
export function noticesOf({ before, event, after }, me, role) {
  const mine = aboutMe(before, event, after, me, role);
  if (mine) return [mine];
  return aboutTheRoom(event, after) ?? aboutTheStage(before, after, me);
}

/** Words for why somebody is no longer in the room. */
export function leftWords(reason, by = null) {
  const who = by ? ` by ${by}` : "";
  const words = {
    left: "You left the room.",
    lost: "Your connection was lost for too long, so your place was given up.",
    kicked: `You were sent out${who}. You may come back.`,
    blocked: `You were sent out${who} and cannot come back.`,
    backstage: "The room went backstage. Come back when it is live again.",
    ended: "This room has ended. Thank you for being here.",
    replaced: "You joined this room in another window or on another device.",
  };
  return Object.hasOwn(words, reason) ? words[reason] : `You are no longer in the room (${reason}).`;
}

function aboutMe(before, event, after, me, role) {
  const by = event.by ? nameOf(after, event.by) : null;
  const couldSpeak = may(before, me, SPEAK, role);
  const canSpeak = may(after, me, SPEAK, role);
  if (!couldSpeak && canSpeak)
    return urgent("It is your turn: you may speak. Open your microphone when you are ready.", "good");
  if (couldSpeak && !canSpeak && after.ended_at === null)
    return urgent("You are back in the audience. Your microphone is closed.", "warning");
  switch (event.event) {
    case "microphone_changed":
      if (event.user !== me || !by || event.by === me) return null;
      return urgent(`${by} muted you. You can open your microphone again.`, "warning");
    case "hand_lowered":
      if (event.user !== me) return movedUp(before, after, me);
      if (event.outcome === "denied") return urgent(`${by ?? "A host"} turned your hand down. You may raise it again.`, "warning");
      if (event.outcome === "cleared") return notice("All hands were lowered.", "warning");
      if (event.outcome === "withdrawn") return spoken("Your hand is down.");
      return null;
    case "hand_raised":
      return event.hand.user === me ? spoken(handWords(handPosition(after, me), after.hands.length)) : null;
    case "invited_to_stage":
      if (event.invitation.user !== me) return null;
      return { ...urgent(`${nameOf(after, event.invitation.by)} invites you to speak. Accept or decline.`, "good"), shown: false };
    case "invitation_ended":
      return event.user === me && event.outcome === "withdrawn" ? notice("The invitation was withdrawn.", "info") : null;
    default:
      return null;
  }
}

function movedUp(before, after, me) {
  const [was, is] = [handPosition(before, me), handPosition(after, me)];
  return is !== null && is !== was ? spoken(handWords(is, after.hands.length)) : null;
}

/** Where a raised hand stands, in words. */
export const handWords = (position, total) =>
  position === 1 ? "Your hand is up. You are next." : `Your hand is up. You are number ${position} of ${total}.`;

function aboutTheRoom(event, after) {
  switch (event.event) {
    case "went_live":
      return [notice("The room is live.", "good")];
    case "live_stopped":
      return [notice("The room is backstage: the audience is out.", "info")];
    case "room_updated":
      return [spoken(`The room is now called ${after.title}.`)];
    default:
      return null;
  }
}

function aboutTheStage(before, after, me) {
  if (before.participants === after.participants && before.overrides === after.overrides && before.grants === after.grants)
    return [];
  const stage = (room) => Object.keys(room.participants).filter((user) => user !== me && onStage(room, user));
  const [was, is] = [stage(before), stage(after)];
  const came = is.filter((user) => !was.includes(user)).map((user) => spoken(`${nameOf(after, user)} is on stage.`));
  const went = was.filter((user) => !is.includes(user)).map((user) => spoken(`${nameOf(before, user)} left the stage.`));
  return [...came, ...went].slice(0, 3); // a crowd that moves at once would talk for minutes
}

const notice = (text, tone) => ({ text, tone, urgent: false, shown: true });
const urgent = (text, tone) => ({ text, tone, urgent: true, shown: true });
const spoken = (text) => ({ text, tone: "info", urgent: false, shown: false });
