# What imgtar-testdata/app:2 was built with, as far as it says.
# Build it with --platform linux/amd64.

# certain: the 9 lowest layers are those of this image
# lossy: the base has ONBUILD triggers, which run again here
FROM imgtar-testdata/app:1

# layer 9: 1 file: srv/patched
# was: --serve --message=first line\nsecond line\tafter a tab 漢字
# not an instruction: a command of a container that was committed, or another builder; its comment: configured by hand\nin two lines
# --context writes layers/9.tar
ADD layers/9.tar /

ENV EDITION=second
LABEL patched=yes
MAINTAINER A Person <person@example.com>
CMD ["--serve", "--message=first line\nsecond line\tafter a tab", "漢字"]

# lossy: the base has a SHELL, the config none
