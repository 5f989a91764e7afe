// SPDX-License-Identifier: Apache-2.0

// Package gosdk drives our cluster with AIStore's published Go client, unmodified. The endpoint is in AIS_ENDPOINT.
package gosdk

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/NVIDIA/aistore/api"
	"github.com/NVIDIA/aistore/api/apc"
	"github.com/NVIDIA/aistore/cmn"
	"github.com/NVIDIA/aistore/cmn/cos"
)

var bp = api.BaseParams{Client: http.DefaultClient, URL: os.Getenv("AIS_ENDPOINT"), UA: "gosdk-test"}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, ok bool, format string, args ...any) {
	t.Helper()
	if !ok {
		t.Fatalf(format, args...)
	}
}

func status(err error) int {
	var h *cmn.ErrHTTP
	if errors.As(err, &h) {
		return h.Status
	}
	return 0
}

func bucket(t *testing.T, name string, props *cmn.BpropsToSet) cmn.Bck {
	t.Helper()
	bck := cmn.Bck{Name: name, Provider: apc.AIS}
	must(t, api.CreateBucket(bp, bck, props))
	t.Cleanup(func() { must(t, api.DestroyBucket(bp, bck)) })
	return bck
}

func content(seed int64, n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

func put(t *testing.T, bck cmn.Bck, name string, b []byte) {
	t.Helper()
	_, err := api.PutObject(&api.PutArgs{BaseParams: bp, Bck: bck, ObjName: name, Reader: cos.NewByteReader(b), Size: uint64(len(b))})
	must(t, err)
}

func get(t *testing.T, bck cmn.Bck, name string) []byte {
	t.Helper()
	var w bytes.Buffer
	oah, err := api.GetObjectWithValidation(bp, bck, name, &api.GetArgs{Writer: &w})
	must(t, err)
	check(t, oah.Size() == int64(w.Len()), "%s: %d bytes announced, %d came", name, oah.Size(), w.Len())
	return w.Bytes()
}

func TestClusterIsSeenAsItIs(t *testing.T) {
	must(t, api.Health(bp))
	must(t, api.GetProxyReadiness(bp))
	smap, err := api.GetClusterMap(bp)
	must(t, err)
	check(t, len(smap.Pmap) == 1 && len(smap.Tmap) == 3 && smap.Primary != nil && smap.UUID != "", "cluster map %v", smap)
	conf, err := api.GetClusterConfig(bp)
	must(t, err)
	check(t, conf.UUID == smap.UUID && conf.Version > 0, "configuration of %q, version %d", conf.UUID, conf.Version)
	for _, si := range smap.Tmap {
		mpl, err := api.GetMountpaths(bp, si)
		must(t, err)
		check(t, len(mpl.Available) == 2 && len(mpl.Disabled) == 0, "%s: mountpaths %v", si, mpl)
	}
	bmd, err := api.GetBMD(bp)
	must(t, err)
	check(t, bmd.UUID == smap.UUID || bmd.UUID == "", "buckets of %q", bmd.UUID)
	_, err = api.GetClusterSysInfo(bp)
	must(t, err)
}

func TestBucketsComeChangeAndGo(t *testing.T) {
	cksum := cos.ChecksumMD5
	bck := bucket(t, "go-buckets", &cmn.BpropsToSet{Cksum: &cmn.CksumConfToSet{Type: &cksum}})
	err := api.CreateBucket(bp, bck, nil)
	check(t, status(err) == http.StatusConflict, "creating it again: %v", err)
	p, err := api.HeadBucket(bp, bck, true)
	must(t, err)
	check(t, p.Cksum.Type == cksum && p.Provider == apc.AIS && p.BID != 0, "properties %+v", p)
	off := false
	_, err = api.SetBucketProps(bp, bck, &cmn.BpropsToSet{Versioning: &cmn.VersionConfToSet{Enabled: &off}})
	must(t, err)
	p, err = api.HeadBucket(bp, bck, true)
	must(t, err)
	check(t, !p.Versioning.Enabled && p.Cksum.Type == cksum, "properties after a change %+v", p)
	_, err = api.ResetBucketProps(bp, bck)
	must(t, err)
	p, err = api.HeadBucket(bp, bck, true)
	must(t, err)
	check(t, p.Versioning.Enabled && p.Cksum.Type != cksum, "properties after the reset %+v", p)
	bcks, err := api.ListBuckets(bp, cmn.QueryBcks{Provider: apc.AIS}, apc.FltExists)
	must(t, err)
	found := false
	for _, b := range bcks {
		found = found || b.Name == bck.Name
	}
	check(t, found, "not listed: %v", bcks)
	_, err = api.HeadBucket(bp, cmn.Bck{Name: "go-missing", Provider: apc.AIS}, true)
	check(t, status(err) == http.StatusNotFound, "HEAD of a missing bucket: %v", err)
}

func TestObjectsAreWhatWasWritten(t *testing.T) {
	bck := bucket(t, "go-objects", nil)
	for i, n := range []int{0, 1, 4096, 65537, 3 << 20} {
		name := fmt.Sprintf("dir/sub/%d ключ+&", n)
		b := content(int64(i), n)
		put(t, bck, name, b)
		check(t, bytes.Equal(get(t, bck, name), b), "%s differs", name)
		op, err := api.HeadObject(bp, bck, name, api.HeadArgs{})
		must(t, err)
		check(t, op.Size == int64(n) && op.Version() == "1" && op.Cksum.Ty() == cos.ChecksumCesXxh, "HEAD %+v", op)
		v2, err := api.HeadObjectV2(bp, bck, name, strings.Join([]string{apc.GetPropsSize, apc.GetPropsChecksum, apc.GetPropsVersion}, ","), api.HeadArgs{})
		must(t, err)
		check(t, v2.Size == int64(n) && v2.Version() == "1" && v2.Cksum.Equal(op.Cksum), "HEAD v2 %+v", v2)
		if n < 100 {
			continue
		}
		var w bytes.Buffer
		h := http.Header{cos.HdrRange: []string{fmt.Sprintf("bytes=%d-%d", n/3, n-2)}}
		_, err = api.GetObject(bp, bck, name, &api.GetArgs{Writer: &w, Header: h})
		must(t, err)
		check(t, bytes.Equal(w.Bytes(), b[n/3:n-1]), "%s: a range differs", name)
		r, size, err := api.GetObjectReader(bp, bck, name, nil)
		must(t, err)
		all, err := io.ReadAll(r)
		must(t, err)
		must(t, r.Close())
		check(t, size == int64(n) && bytes.Equal(all, b), "%s: the reader's bytes differ", name)
	}
	put(t, bck, "over", []byte("1"))
	put(t, bck, "over", []byte("22"))
	op, err := api.HeadObject(bp, bck, "over", api.HeadArgs{})
	must(t, err)
	check(t, op.Version() == "2" && op.Size == 2, "overwritten: %+v", op)
}

func TestWrongChecksumIsRefusedAndMissingIsNotFound(t *testing.T) {
	bck := bucket(t, "go-errors", nil)
	bad := cos.NewCksum(cos.ChecksumMD5, hex.EncodeToString(make([]byte, md5.Size)))
	_, err := api.PutObject(&api.PutArgs{BaseParams: bp, Bck: bck, ObjName: "bad", Reader: cos.NewByteReader([]byte("x")), Size: 1, Cksum: bad})
	check(t, err != nil, "a wrong checksum was taken")
	_, err = api.GetObject(bp, bck, "bad", nil)
	check(t, status(err) == http.StatusNotFound, "GET of what was refused: %v", err)
	_, err = api.HeadObject(bp, bck, "bad", api.HeadArgs{})
	check(t, status(err) == http.StatusNotFound, "HEAD of it: %v", err)
	err = api.DeleteObject(bp, bck, "bad")
	check(t, status(err) == http.StatusNotFound, "DELETE of it: %v", err)
}

func TestCustomMetadataRenameAndDelete(t *testing.T) {
	bck := bucket(t, "go-custom", nil)
	put(t, bck, "o", []byte("content"))
	must(t, api.SetObjectCustomProps(bp, bck, "o", cos.StrKVs{"color": "red", "n": "1"}, false))
	must(t, api.SetObjectCustomProps(bp, bck, "o", cos.StrKVs{"n": "2"}, false))
	op, err := api.HeadObject(bp, bck, "o", api.HeadArgs{})
	must(t, err)
	md := op.GetCustomMD()
	check(t, md["color"] == "red" && md["n"] == "2", "custom metadata %v", md)
	must(t, api.SetObjectCustomProps(bp, bck, "o", cos.StrKVs{"only": "ü"}, true))
	op, err = api.HeadObject(bp, bck, "o", api.HeadArgs{})
	must(t, err)
	md = op.GetCustomMD()
	check(t, len(md) == 1 && md["only"] == "ü", "custom metadata, replaced: %v", md)
	must(t, api.RenameObject(bp, bck, "o", "to/p"))
	check(t, string(get(t, bck, "to/p")) == "content", "renamed: other content")
	_, err = api.HeadObject(bp, bck, "o", api.HeadArgs{})
	check(t, status(err) == http.StatusNotFound, "the old name: %v", err)
	must(t, api.DeleteObject(bp, bck, "to/p"))
}

func TestListingsAreCompleteAndInOrder(t *testing.T) {
	const n = 250
	bck := bucket(t, "go-list", nil)
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			b := content(int64(i), i)
			_, err := api.PutObject(&api.PutArgs{BaseParams: bp, Bck: bck, ObjName: fmt.Sprintf("d%d/%04d", i%5, i), Reader: cos.NewByteReader(b), Size: uint64(i)})
			errs <- err
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		must(t, err)
	}
	all, err := api.ListObjects(bp, bck, &apc.LsoMsg{Props: "name,size,checksum,version", PageSize: 37}, api.ListArgs{})
	must(t, err)
	check(t, len(all.Entries) == n, "%d entries", len(all.Entries))
	var last string
	var total int64
	for _, e := range all.Entries {
		check(t, e.Name > last && e.Version == "1" && e.Checksum != "", "entry %+v behind %q", e, last)
		i, err := strconv.Atoi(e.Name[3:])
		must(t, err)
		check(t, e.Size == int64(i), "%s: size %d", e.Name, e.Size)
		last, total = e.Name, total+e.Size
	}
	some, err := api.ListObjects(bp, bck, &apc.LsoMsg{Prefix: "d3/"}, api.ListArgs{Limit: 10})
	must(t, err)
	check(t, len(some.Entries) == 10 && strings.HasPrefix(some.Entries[9].Name, "d3/"), "prefix and limit: %v", some.Entries)
	dirs := &apc.LsoMsg{Props: apc.GetPropsName}
	dirs.SetFlag(apc.LsNoRecursion)
	one, err := api.ListObjects(bp, bck, dirs, api.ListArgs{})
	must(t, err)
	check(t, len(one.Entries) == 5, "one level: %v", one.Entries)
	_, sums, err := api.GetBucketSummary(bp, cmn.QueryBcks(bck), &apc.BsummCtrlMsg{ObjCached: true, BckPresent: true}, api.BsummArgs{})
	must(t, err)
	check(t, len(sums) == 1 && sums[0].ObjCount.Present == n && int64(sums[0].TotalSize.PresentObjs) == total, "summary %+v", sums)
}

func TestAppendAndMultipart(t *testing.T) {
	bck := bucket(t, "go-parts", nil)
	handle := ""
	var want []byte
	for i := range 3 {
		b := content(int64(i), 1000+i)
		h, err := api.AppendObject(&api.AppendArgs{BaseParams: bp, Bck: bck, Object: "appended", Handle: handle, Reader: cos.NewByteReader(b), Size: int64(len(b))})
		must(t, err)
		handle, want = h, append(want, b...)
	}
	must(t, api.FlushObject(&api.FlushArgs{BaseParams: bp, Bck: bck, Object: "appended", Handle: handle}))
	check(t, bytes.Equal(get(t, bck, "appended"), want), "appended content differs")

	id, err := api.CreateMultipartUpload(bp, bck, "mp/o")
	must(t, err)
	want = content(9, 2_500_001)
	var nums []int
	for i := 0; i*1_000_000 < len(want); i++ {
		b := want[i*1_000_000 : min(len(want), (i+1)*1_000_000)]
		must(t, api.UploadPart(&api.PutPartArgs{PutArgs: api.PutArgs{BaseParams: bp, Bck: bck, ObjName: "mp/o", Reader: cos.NewByteReader(b), Size: uint64(len(b))},
			UploadID: id, PartNumber: i + 1}))
		nums = append(nums, i+1)
	}
	must(t, api.CompleteMultipartUpload(bp, bck, "mp/o", id, nums))
	check(t, bytes.Equal(get(t, bck, "mp/o"), want), "content of the multipart upload differs")
	id, err = api.CreateMultipartUpload(bp, bck, "mp/aborted")
	must(t, err)
	must(t, api.AbortMultipartUpload(bp, bck, "mp/aborted", id))
	_, err = api.HeadObject(bp, bck, "mp/aborted", api.HeadArgs{})
	check(t, status(err) == http.StatusNotFound, "an aborted upload: %v", err)
}

// A chunked body has no length: the proxy redirects while it is still being sent, again and again on the same connections.
func TestManyLargePutsOnFewConnections(t *testing.T) {
	bck := bucket(t, "go-large", nil)
	b := content(1, 2<<20)
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	deadline := time.Now().Add(3 * time.Second)
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; time.Now().Before(deadline); i++ {
				// size unknown to the client: chunked
				_, err := api.PutObject(&api.PutArgs{BaseParams: bp, Bck: bck, ObjName: fmt.Sprintf("%d/%d", w, i%8), Reader: cos.NewByteReader(b)})
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		must(t, err)
	}
	check(t, bytes.Equal(get(t, bck, "0/0"), b), "content differs")
}
