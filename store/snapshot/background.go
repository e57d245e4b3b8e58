package snapshot

// Go runs f on a goroutine of its own and returns where its error comes. low: the goroutine's thread yields to all others,
// so that on a busy machine the event loops go first. That is for work made for one snapshot; a lock that such a thread
// holds is not waited for long: whoever waits sleeps, and leaves a processor to it.
func Go(low bool, f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		if low {
			yield()
		}
		done <- f()
	}()
	return done
}
