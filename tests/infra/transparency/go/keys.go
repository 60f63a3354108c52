package main

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
)

// publicOnly is a key that cannot sign: torchwood makes verifiers of cosignatures from signers alone.
type publicOnly struct{ key ed25519.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.key }

func (p publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private key")
}

// witnessVerifier makes a verifier of a witness's vkey, and sees that torchwood writes the key as we do.
func witnessVerifier(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("no vkey: " + vkey)
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 33 || raw[0] != 4 {
		return nil, errors.New("no key of a witness: " + vkey)
	}
	signer, err := torchwood.NewCosignatureSigner(parts[0], publicOnly{ed25519.PublicKey(raw[1:])})
	if err != nil {
		return nil, err
	}
	if written := signer.Verifier().String(); written != vkey {
		return nil, errors.New("torchwood writes the key as " + written)
	}
	return signer.Verifier(), nil
}

// verifiers makes the list of the log's key and its witnesses'.
func verifiers(log string, witnesses []string) (note.Verifiers, error) {
	own, err := note.NewVerifier(log)
	if err != nil {
		return nil, err
	}
	list := []note.Verifier{own}
	for _, vkey := range witnesses {
		one, err := witnessVerifier(vkey)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return note.VerifierList(list...), nil
}

// serveAgent serves an ssh-agent with the Ed25519 key of a seed until it is killed; it prints the fingerprint first.
func serveAgent(socket, seed string) error {
	raw, err := hex.DecodeString(seed)
	if err != nil || len(raw) != ed25519.SeedSize {
		return errors.New("a seed has 32 bytes in hex")
	}
	ring, private := agent.NewKeyring(), ed25519.NewKeyFromSeed(raw)
	if err := ring.Add(agent.AddedKey{PrivateKey: &private}); err != nil {
		return err
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString(ssh.FingerprintSHA256(public) + "\n"); err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go agent.ServeAgent(ring, connection)
	}
}
