"""Bytes of real-time media to values and back: RTP, RED, RTCP, STUN and the SDP of one answerer."""
