"""The embedded forwarding unit: RTP in, RTP out, in processes of its own. It never decodes."""
