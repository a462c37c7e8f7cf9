# What imgtar-testdata/classic:1 was built with, as far as it says.
# Build it with --platform linux/amd64.

FROM scratch

# layer 0: 37 files: etc/os-release, etc/passwd, etc/app/app.conf, etc/app/conf.d/10-first.conf, ...
# the history has no instruction; its comment: base of the test images
# --context writes layers/0.tar
ADD layers/0.tar /

MAINTAINER A Person <person@example.com>
LABEL built-by=classic

# layer 1: 1 file: same.txt
# lossy: the history has a hash instead of names: these are the layer's
COPY same.txt /same.txt

EXPOSE 80/tcp
CMD ["/bin/sh", "-c", "echo \"a command in the shell's form, longer than the forty-five columns that are shown\""]
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
