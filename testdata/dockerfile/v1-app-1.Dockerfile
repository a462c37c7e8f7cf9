# What imgtar-testdata/app:1 was built with, as far as it says.
# Build it with --platform linux/amd64.

FROM scratch

# layer 0: 37 files: etc/os-release, etc/passwd, etc/app/app.conf, etc/app/conf.d/10-first.conf, ...
# the history has no instruction
# --context writes layers/0.tar
ADD layers/0.tar /

# layer 1: 6 files: bin/one, etc/app/conf.d/30-third.conf, opt/file/now/a-directory, srv/epoch, ...
# the history has no instruction
# --context writes layers/1.tar
# lossy: the layer also deletes 7 names, which ADD cannot; with --context --no-run nothing is lost
ADD layers/1.tar /

# layer 2: 2 files: srv/lines, srv/リンク
# the history has no instruction
# --context writes layers/2.tar
ADD layers/2.tar /

# layer 3: 1 file: same.txt
# the history has no instruction
# --context writes layers/3.tar
ADD layers/3.tar /

# layer 4: 1 file: same.txt
# the history has no instruction
# --context writes layers/4.tar
ADD layers/4.tar /

# layer 5: no files
# the history has no instruction
# --context writes layers/5.tar
ADD layers/5.tar /

# layer 6: 2 files: srv/app/other.txt, srv/app/same.txt
# the history has no instruction
# --context writes layers/6.tar
ADD layers/6.tar /

# layer 7: 2 files: lib/libx.so.1, lib/libx.so.1.1
# the history has no instruction
# --context writes layers/7.tar
# lossy: the layer also deletes 4 names, which ADD cannot; with --context --no-run nothing is lost
ADD layers/7.tar /

# layer 8: no files
# the history has no instruction
# --context writes layers/8.tar
ADD layers/8.tar /

ENV PATH=/bin GREETING="two words" WIDE=漢字とかなを交ぜた値は端末の桁を二つずつ取るので早く四十五桁に達する
LABEL note="<a> & \"b\"" \
      org.opencontainers.image.title="imgtar test image" \
      org.opencontainers.image.version=1.0
EXPOSE 53/udp 8080/tcp
VOLUME ["/data", "/var/lib"]
USER 1000:1000
WORKDIR /srv/app
STOPSIGNAL SIGQUIT
SHELL ["/mnt/busybox", "sh", "-ec"]
HEALTHCHECK --interval=30s --timeout=3s --start-period=90s --retries=4 CMD ["/bin/tool", "--check"]
ENTRYPOINT ["/bin/tool"]
CMD ["--serve", "--name", "two words"]
ONBUILD COPY . /srv/app
