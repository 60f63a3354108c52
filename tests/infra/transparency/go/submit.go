package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const logName = "log.example.com/go"

type submitted struct {
	Statuses []int    `json:"statuses"`
	Bodies   []string `json:"bodies"` // of answers other than 200
	Signed   []int64  `json:"signed"` // sizes of heads whose cosignature verified
}

// submit grows a log to each size in turn, and asks a witness to sign it. It knows the witness's size from its own last
// success; a size with `!` before it is asked for with a proof from a tree of another content, and one with `~` with the
// old size 0.
func submit(address, witness, seed string, sizes []string) (*submitted, error) {
	verifier, err := witnessVerifier(witness)
	if err != nil {
		return nil, err
	}
	signer, err := logSigner(seed)
	if err != nil {
		return nil, err
	}
	answer := &submitted{}
	var old int64
	for _, text := range sizes {
		kind := text[0]
		if kind == '!' || kind == '~' {
			text = text[1:]
		}
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, err
		}
		from, content := old, "entry"
		if kind == '~' {
			from = 0
		} else if kind == '!' {
			content = "other"
		}
		status, body, err := ask(address, verifier, signer, from, size, content)
		if err != nil {
			return nil, err
		}
		answer.Statuses = append(answer.Statuses, status)
		if status == http.StatusOK {
			answer.Signed = append(answer.Signed, size)
			old = size
		} else {
			answer.Bodies = append(answer.Bodies, body)
		}
	}
	return answer, nil
}

func logSigner(seed string) (note.Signer, error) {
	raw, err := hex.DecodeString(seed)
	if err != nil || len(raw) != ed25519.SeedSize {
		return nil, errors.New("a seed has 32 bytes in hex")
	}
	private := ed25519.NewKeyFromSeed(raw)
	public := append([]byte{1}, private.Public().(ed25519.PublicKey)...)
	vkey, err := note.NewEd25519VerifierKey(logName, private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	hash := vkey[len(logName)+1 : len(logName)+9]
	if vkey != logName+"+"+hash+"+"+base64.StdEncoding.EncodeToString(public) {
		return nil, errors.New("another form of vkey: " + vkey)
	}
	secret := base64.StdEncoding.EncodeToString(append([]byte{1}, raw...))
	return note.NewSigner("PRIVATE+KEY+" + logName + "+" + hash + "+" + secret)
}

func ask(address string, witness note.Verifier, signer note.Signer, old, size int64, content string) (int, string, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			list[i] = stored[index]
		}
		return list, nil
	})
	for n := int64(0); n < size; n++ {
		hashes, err := tlog.StoredHashes(n, fmt.Appendf(nil, "%s %d", content, n), reader)
		if err != nil {
			return 0, "", err
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		return 0, "", err
	}
	head := torchwood.Checkpoint{Origin: logName, Tree: tlog.Tree{N: size, Hash: root}}
	signed, err := note.Sign(&note.Note{Text: head.String()}, signer)
	if err != nil {
		return 0, "", err
	}
	body := fmt.Appendf(nil, "old %d\n", old)
	if old > 0 {
		proof, err := tlog.ProveTree(size, old, reader)
		if err != nil {
			return 0, "", err
		}
		for _, hash := range proof {
			body = fmt.Appendf(body, "%s\n", hash)
		}
	}
	body = append(append(body, '\n'), signed...)
	response, err := http.Post(address+"/add-checkpoint", "text/plain; charset=utf-8", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return response.StatusCode, response.Header.Get("Content-Type") + " " + string(answer), err
	}
	opened, err := note.Open(append(signed, answer...), note.VerifierList(witness))
	if err != nil {
		return 0, "", err
	}
	if opened.Text != head.String() {
		return 0, "", errors.New("another text was signed")
	}
	return response.StatusCode, "", nil
}
