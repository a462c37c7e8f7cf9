// What encoders in Go make of some contents, for the tests in src/source/remake:
//
//	deflate-samples go          >src/source/remake/go/samples.tsv
//	deflate-samples klauspost   >src/source/remake/klauspost/whole.tsv   # built with klauspost/compress 1.15.12
//	deflate-samples klauspost   >src/source/remake/klauspost/short.tsv   # built with klauspost/compress 1.20.3
//
// One row per content: its kind, its size, and for each stream its size and the first 8 digits of its SHA-256. With `go`
// there is a column for each level from 1 to 9, with `klauspost` for flate and pgzip at the levels 5 and 6.
// src/source/remake/go/tests.rs makes the same contents by the same formulas.
package main

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	klauspost "github.com/klauspost/compress/flate"
	"github.com/klauspost/pgzip"
)

type numbers struct{ state uint64 }

func (n *numbers) next() uint64 {
	n.state = n.state*6364136223846793005 + 1442695040888963407
	return n.state >> 33
}

func content(kind string, size int) []byte {
	n := &numbers{1}
	var b []byte
	switch kind {
	case "zeros":
		return make([]byte, size)
	case "random":
		for len(b) < size {
			b = append(b, byte(n.next()))
		}
	case "period":
		for len(b) < size {
			b = append(b, "imgtar7"[len(b)%7])
		}
	case "text":
		var words [400][]byte
		for i := range words {
			for length := 1 + n.next()%9; length > 0; length-- {
				words[i] = append(words[i], byte('a'+n.next()%16))
			}
		}
		for len(b) < size {
			b = append(b, words[(n.next()%400)*(n.next()%400)/400]...)
			b = append(b, ' ')
		}
	case "mixed":
		for len(b) < size {
			for length := n.next() % 3000; length > 0; length-- {
				b = append(b, byte(n.next()))
			}
			b = append(b, make([]byte, n.next()%3000)...)
			for length := n.next() % 3000; length > 0; length-- {
				b = append(b, "ab"[n.next()%2])
			}
		}
	}
	return b[:size]
}

func column(out []byte) {
	fmt.Printf("\t%d %.4x", len(out), sha256.Sum256(out))
}

func compressed(content []byte, writer func(io.Writer) io.WriteCloser) []byte {
	var out bytes.Buffer
	w := writer(&out)
	w.Write(content)
	w.Close()
	return out.Bytes()
}

func row(name string, content []byte) {
	fmt.Printf("%s\t%d", name, len(content))
	if os.Args[1] == "go" {
		for level := 1; level <= 9; level++ {
			column(compressed(content, func(out io.Writer) io.WriteCloser {
				w, _ := flate.NewWriter(out, level)
				return w
			}))
		}
	} else {
		for level := 5; level <= 6; level++ {
			column(compressed(content, func(out io.Writer) io.WriteCloser {
				w, _ := klauspost.NewWriter(out, level)
				return w
			}))
		}
		for level := 5; level <= 6; level++ {
			out := compressed(content, func(out io.Writer) io.WriteCloser {
				w, _ := pgzip.NewWriterLevel(out, level)
				return w
			})
			column(out[10 : len(out)-8]) // without the header and trailer of gzip
		}
	}
	fmt.Println()
}

func main() {
	for _, kind := range []string{"zeros", "random", "period", "text", "mixed"} {
		for _, size := range []int{0, 1, 2, 5, 16, 17, 127, 128, 400, 65534, 65535, 65536, 131071, 400000} {
			row(kind, content(kind, size))
		}
		if os.Args[1] == "klauspost" {
			row(kind, content(kind, 32))
			row(kind, content(kind, 33))
		}
	}
	if os.Args[1] == "klauspost" {
		row("text", content("text", 1<<20))
		row("text", content("text", 1200000))
	}
	const archive = "testdata/engines/docker20-one.tar"
	b, err := os.ReadFile(archive)
	if err != nil {
		panic(err)
	}
	row(archive, b)
}
