# What imgtar-testdata/heredoc:1 was built with, as far as it says.
# Build it with --platform linux/amd64.

FROM scratch

# layer 0: 37 files: etc/os-release, etc/passwd, etc/app/app.conf, etc/app/conf.d/10-first.conf, ...
# the history has no instruction; its comment: base of the test images
# --context writes layers/0.tar
ADD layers/0.tar /

SHELL ["/mnt/busybox", "sh", "-ec"]

# layer 1: 1 file: srv/here
RUN ["/mnt/busybox", "sh", "-ec", "echo one > /srv/here\n\
\techo two >> /srv/here\n"]

# layer 2: 1 file: srv/copied
# lossy: the content was in the Dockerfile: it is what the layer's file holds
COPY copied /srv/copied

CMD ["/bin/tool"]
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
