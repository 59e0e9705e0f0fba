"""What chain.py and step.py both ask gdb for."""
import gdb

# More is a chain that does not end.
MOST_FRAMES = 200


def backtrace():
    """The frames, innermost first, as addresses inside the instruction that is under way, and why gdb stopped there.

    Inlined functions are in the frame of the one that they were put into.
    """
    frames, frame, reason = [], gdb.newest_frame(), "none"
    while frame is not None and len(frames) < MOST_FRAMES:
        if frame.type() != gdb.INLINE_FRAME:
            frames.append(max(frame.pc() - (1 if frames else 0), 0))
        try:
            older = frame.older()
            if older is None:
                reason = gdb.frame_stop_reason_string(frame.unwind_stop_reason()).replace(" ", "_")
        except gdb.error as error:
            older, reason = None, str(error).replace(" ", "_")
        frame = older
    return " ".join("%x" % pc for pc in frames) + " " + reason
