# What imgtar-testdata/app:1 was built with, as far as it says.
# Build it with --platform linux/amd64.

FROM scratch

# layer 0: 37 files: etc/os-release, etc/passwd, etc/app/app.conf, etc/app/conf.d/10-first.conf, ...
# the history has no instruction; its comment: base of the test images
# --context writes layers/0.tar
ADD layers/0.tar /

ARG EDITION=first
ENV PATH=/bin GREETING="two words"
ENV WIDE=漢字とかなを交ぜた値は端末の桁を二つずつ取るので早く四十五桁に達する
LABEL org.opencontainers.image.title="imgtar test image" \
      org.opencontainers.image.version=1.0 \
      note="<a> & \"b\""
SHELL ["/mnt/busybox", "sh", "-ec"]

# layer 1: 6 files: bin/one, etc/app/conf.d/30-third.conf, opt/file/now/a-directory, srv/epoch, ...
RUN b=/mnt/busybox; $b rm /opt/deleted; $b rm -r /opt/gone; \
    $b rm -r /etc/app/conf.d; $b mkdir /etc/app/conf.d; echo third > /etc/app/conf.d/30-third.conf; \
    $b rm /opt/file; $b mkdir -p /opt/file/now; echo in > /opt/file/now/a-directory; \
    $b chmod 0600 /srv/epoch; $b ln /bin/one /srv/four; echo more >> /var/lib/data

# layer 2: 2 files: srv/lines, srv/リンク
RUN ["/mnt/busybox", "sh", "-c", "echo 一行目 > /srv/lines\n\
\t/mnt/busybox ln -s lines '/srv/リンク'\n"]

# layer 3: 1 file: same.txt
COPY same.txt /same.txt

# layer 4: 1 file: same.txt
COPY same.txt /same.txt

WORKDIR /srv/app

# layer 6: 2 files: srv/app/other.txt, srv/app/same.txt
COPY same.txt other.txt ./

# layer 7: 2 files: lib/libx.so.1, lib/libx.so.1.1
RUN b=/mnt/busybox; $b rm /srv/app/same.txt /same.txt; \
    $b mv /lib/libx.so.1.0 /lib/libx.so.1.1; $b ln -sf libx.so.1.1 /lib/libx.so.1; $b rm /bin/two

# layer 8: no files
RUN /mnt/busybox true

EXPOSE 53/udp 8080/tcp
VOLUME ["/data", "/var/lib"]
USER 1000:1000
HEALTHCHECK --interval=30s --timeout=3s --start-period=90s --retries=4 CMD ["/bin/tool", "--check"]
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/bin/tool"]
CMD ["--serve", "--name", "two words"]
ONBUILD COPY . /srv/app
