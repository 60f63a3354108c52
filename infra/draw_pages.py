"""stub to be replaced"""
import msgspec

from schemas.draw.documents import Announcement, Transcript, read_announcement, read_transcript
from schemas.draw.encoding import parse_json, read_file


class Shown(msgspec.Struct, frozen=True):
    announcement: Announcement
    transcript: Transcript | None
def read(path):
    data=read_file(path); content=parse_json(data,str(path))
    if isinstance(content,dict) and "announcement_digest" in content:
        t=read_transcript(data,str(path)); return Shown(read_announcement(bytes(t.announcement)),t)
    return Shown(read_announcement(data,str(path)),None)
