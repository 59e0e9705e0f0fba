// What Go's runtime takes for its own crossings: the program `bench` beside it asks for blocks of an operation, so that
// both run by turns on one CPU. In: a line `OPERATION N`. Out: a line with the nanoseconds that N operations took.
package main

/*
#include <stddef.h>

static size_t calls;

static int leaf(void *arg) { (void)arg; return 0; }
static int counted(void *arg) { (void)arg; calls++; return 0; }
static size_t take(void) { size_t n = calls; calls = 0; return n; }

extern void benchExported(void);
extern void benchCounted(void);

static int back_once(void *arg) { (void)arg; benchExported(); return 0; }
static int counted_back_once(void *arg) { (void)arg; calls++; benchCounted(); return 0; }
static void back(size_t n) { for (; n > 0; n--) benchExported(); }
static void counted_back(size_t n) { for (; n > 0; n--) benchCounted(); }
*/
import "C"

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

var counted uint64

//export benchExported
func benchExported() {}

//export benchCounted
func benchCounted() { counted++ }

// turns lets so many goroutines take turns, n turns in all, and returns how many there were.
func turns(goroutines, n int) (time.Duration, uint64) {
	var others sync.WaitGroup
	var all uint64
	each := n / goroutines
	take := func() {
		for i := 0; i < each; i++ {
			all++
			runtime.Gosched()
		}
	}
	for i := 1; i < goroutines; i++ {
		others.Add(1)
		go func() {
			take()
			others.Done()
		}()
	}
	// The others begin when this one first gives up its turn.
	start := time.Now()
	take()
	took := time.Since(start)
	others.Wait()
	return took, all
}

// run runs an operation n times and returns how long that took, and what was counted if it counts.
func run(operation string, n int) (took time.Duration, count uint64) {
	start := time.Now()
	switch operation {
	case "cgocall":
		for i := 0; i < n; i++ {
			C.leaf(nil)
		}
	case "cgocall-counted":
		for i := 0; i < n; i++ {
			C.counted(nil)
		}
	case "callback":
		C.back(C.size_t(n))
	case "callback-counted":
		C.counted_back(C.size_t(n))
	case "cgocall-callback":
		for i := 0; i < n; i++ {
			C.back_once(nil)
		}
	case "cgocall-callback-counted":
		for i := 0; i < n; i++ {
			C.counted_back_once(nil)
		}
	case "turns-1", "turns-1-counted":
		return turns(1, n)
	case "turns-16", "turns-16-counted":
		return turns(16, n)
	default:
		fmt.Fprintln(os.Stderr, "unknown operation", operation)
		os.Exit(2)
	}
	took = time.Since(start)
	count = counted + uint64(C.take())
	counted = 0
	return took, count
}

func main() {
	in := bufio.NewReader(os.Stdin)
	for {
		var operation string
		var n int
		if _, err := fmt.Fscanln(in, &operation, &n); err != nil {
			return
		}
		took, count := run(operation, n)
		fmt.Println(took.Nanoseconds(), count)
	}
}
