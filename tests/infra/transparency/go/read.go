package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type audited struct {
	Origin  string           `json:"origin"`
	Size    int64            `json:"size"`
	Root    string           `json:"root"`
	Signers map[string]int64 `json:"signers"` // name to time, 0 for the log itself
	Entries int64            `json:"entries"`
	SHA256  string           `json:"sha256"` // of all entries, one after the other
	Proved  int              `json:"proved"` // entries whose inclusion was proved and checked
	Trees   int              `json:"trees"`  // older trees whose continuation was proved and checked
}

// open verifies a checkpoint; every signature by a known key has to verify.
func open(data []byte, known note.Verifiers) (torchwood.Checkpoint, map[string]int64, error) {
	opened, err := note.Open(data, known)
	if err != nil {
		return torchwood.Checkpoint{}, nil, err
	}
	head, err := torchwood.ParseCheckpoint(opened.Text)
	if err != nil {
		return head, nil, err
	}
	signers := map[string]int64{}
	for _, signature := range opened.Sigs {
		signers[signature.Name] = 0
		if signature.Name != head.Origin {
			if signers[signature.Name], err = torchwood.CosignatureTimestamp(signature); err != nil {
				return head, nil, err
			}
		}
	}
	return head, signers, nil
}

func audit(address, log string, witnesses []string) (*audited, error) {
	ctx := context.Background()
	known, err := verifiers(log, witnesses)
	if err != nil {
		return nil, err
	}
	fetcher, err := torchwood.NewTileFetcher(address)
	if err != nil {
		return nil, err
	}
	data, err := fetcher.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return nil, err
	}
	head, signers, err := open(data, known)
	if err != nil {
		return nil, err
	}
	client, err := torchwood.NewClient(fetcher)
	if err != nil {
		return nil, err
	}
	answer := &audited{Origin: head.Origin, Size: head.N, Root: head.Hash.String(), Signers: signers}
	all := sha256.New()
	for before := int64(-1); before < answer.Entries && answer.Entries < head.N; {
		before = answer.Entries // the first time the last bundle, a partial one, is left out
		for index, entry := range client.Entries(ctx, head.Tree, before) {
			if index != answer.Entries {
				return nil, fmt.Errorf("entry %d comes after %d", index, answer.Entries)
			}
			answer.Entries++
			all.Write(entry)
		}
		if err := client.Err(); err != nil {
			return nil, err
		}
	}
	answer.SHA256 = hex.EncodeToString(all.Sum(nil))
	for index := int64(0); index < head.N; index += 1 + head.N/50 {
		if _, _, err := client.Entry(ctx, head.Tree, index); err != nil {
			return nil, err
		}
		answer.Proved++
	}
	hashes := torchwood.TileHashReaderWithContext(ctx, head.Tree, fetcher)
	for old := int64(1); old <= head.N; old += 1 + head.N/20 {
		root, err := tlog.TreeHash(old, hashes)
		if err != nil {
			return nil, err
		}
		proof, err := tlog.ProveTree(head.N, old, hashes)
		if err != nil {
			return nil, err
		}
		if err := tlog.CheckTree(proof, head.N, head.Hash, old, root); err != nil {
			return nil, err
		}
		answer.Trees++
	}
	return answer, nil
}

// proofs checks tlog-proofs (c2sp.org/tlog-proof@v1), each with the entry that it is about.
func proofs(input io.Reader, log string, witnesses []string) (map[string]int, error) {
	known, err := verifiers(log, witnesses)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, 1<<20)
	count := 0
	for lines.Scan() {
		var given struct{ Proof, Entry string }
		if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
			return nil, err
		}
		if err := checkProof(given.Proof, given.Entry, known, len(witnesses)+1); err != nil {
			return nil, fmt.Errorf("proof %d: %w", count, err)
		}
		count++
	}
	return map[string]int{"proofs": count}, lines.Err()
}

func checkProof(text, entry string, known note.Verifiers, signers int) error {
	top, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(top, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("no tlog-proof")
	}
	number, found := strings.CutPrefix(lines[1], "index ")
	if !found {
		return errors.New("no index")
	}
	index, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return errors.New("no hash: " + line)
		}
		proof = append(proof, tlog.Hash(raw))
	}
	head, signed, err := open([]byte(checkpoint), known)
	if err != nil {
		return err
	}
	if len(signed) != signers {
		return fmt.Errorf("signed by %v", signed)
	}
	return tlog.CheckRecord(proof, head.N, head.Hash, index, tlog.RecordHash([]byte(entry)))
}
