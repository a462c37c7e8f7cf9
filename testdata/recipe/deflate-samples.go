// What Go's compress/flate makes of some contents, for src/source/remake/go/samples.tsv:
//
//	go run testdata/recipe/deflate-samples.go >src/source/remake/go/samples.tsv
//
// One row per content, one column per level from 1 to 9: the size and the first 8 digits of the SHA-256 of the stream.
// src/source/remake/go/tests.rs makes the same contents by the same formulas.
package main

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"os"
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

func row(name string, size int, content []byte) {
	fmt.Printf("%s\t%d", name, size)
	for level := 1; level <= 9; level++ {
		var out bytes.Buffer
		w, _ := flate.NewWriter(&out, level)
		w.Write(content)
		w.Close()
		fmt.Printf("\t%d %.4x", out.Len(), sha256.Sum256(out.Bytes()))
	}
	fmt.Println()
}

func main() {
	for _, kind := range []string{"zeros", "random", "period", "text", "mixed"} {
		for _, size := range []int{0, 1, 2, 5, 16, 17, 127, 128, 400, 65534, 65535, 65536, 131071, 400000} {
			row(kind, size, content(kind, size))
		}
	}
	const archive = "testdata/engines/docker20-one.tar"
	b, err := os.ReadFile(archive)
	if err != nil {
		panic(err)
	}
	row(archive, len(b), b)
}
