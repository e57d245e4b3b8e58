// Package sim runs cluster/core, the very machine that production runs, over a virtual
// network, clocks, disks and processes: one seed, one thread, every run repeatable. Only tests
// and scripts/soak.sh may use it; it must not be imported by product code, and it knows nothing
// of sockets, files, goroutines or real time.
//
// # Reading order
//
// run.go (one run: form, faults, heal, converge) → form.go (formation under faults) → params.go (what a seed draws) → fault.go
// (what can go wrong) → proc.go (a node: cluster/agent's loop) → data.go (its data side:
// cluster/node's callbacks and a small model of cluster/repl) → net.go, disk.go, client.go →
// check.go (the invariants) → shrink.go.
//
// # A failure
//
// A test that fails prints the plan: the seed, which decides all conditions, and the list of
// faults. go test ./cluster/sim -run TestSeeds -sim.seed=N -sim.seeds=1 -sim.shrink -sim.trace
// makes it small and shows the last events. Keep the plan as a file under testdata: TestKept
// runs those for ever. Faults are drawn as a list before the run and every concern has its own
// generator, so taking one fault away leaves all else as it was.
//
// # The invariants, by their numbers in PROTOCOL 4.4
//
//	1   one primary per (shard, epoch); no record, voter set or slot map of one version decided twice
//	2   one primary with a running lease per shard, at any true time; commands execute in epoch order
//	6   what a voter has spoken from never goes back; no majority lacks a decided record; a frozen
//	    voter says nothing; nothing is accepted below a promise
//	7   a record's set holds its primary; who wins without force was in the last set
//	11  a slot is served by one shard per version of the map
//	12  after the heal every slot is owned and served (see below)
//	15  an incarnation names one life of its data
//	16  consecutive voter sets differ by at most one member, or by one for one
//	17  another cluster's messages change nothing; S33: a forgotten node stays out
//	18  messages per step are bounded
//	19  no election while a majority hears the primary
//	20  a write that every node able to lead next has applied is never lost; a handover loses no
//	    acknowledged write; the voters do not let a node with less win over a sibling they hear
//
//	—   two processes under one node id (a copied disk, TestTwins): both serve for at most 1.5 T, all
//	    in all; whichever of them ends, the cluster becomes whole. What each process's own memory
//	    is needed for is not checked in those runs (ofOneProcess)
//
// Machine.Check runs after each step. Asynchronous replication promises no more than 20 about
// writes (contract S1-S3): what one of the possible winners had not yet received when its
// primary was cut off may be lost, and Counts.LostWrites counts it. A forced takeover or a cold
// start takes the guarantee back for its shard. 3, 4, 5, 8, 9, 10, 13 and 14 belong to the
// strict mode and to atomic migration and are not checked here.
//
// # Convergence
//
// After the last fault everything heals and an operator does what only an operator can: starts
// what is down, invites machines that lost their name, forgets names without machines, closes
// open slots, gives away the slots of a shard that has no node left. From the operator's last
// act one view at all nodes, every slot served under a lease, every replica in sync and in the
// set are due within 3T + 2 s, plus
//
//	5 s        replica migration acts on a primary that has been alone for 5 s (S12), and what it
//	           moves changes the views of all
//	2 × full   a replica that moved or lost its data copies it, and once more if its source moved
//	grace + 3T only when no member of a shard's last set is left: the cold start waits (ColdGrace)
//
// # Rules switched off (TestAblationsBite; first seed that sees it, and what is seen)
//
//	any-replica 1, no-incarnation 1            winner was not in the set; incarnation reused
//	any-offset 8                               worse sibling won (three replicas, a stalled stream)
//	first-record 14                            not based on the highest record
//	nolease-wait 1, no-lease-check 2           two leased primaries
//	lease-from-receipt 2, noquarantine 1       two leased primaries (scripted: slow acks; voters restart)
//	nofsync-promise 1, voter-accepts-old 2     register went back; accepted below a promise
//	nofsync-record 1, no-copy 1                decided record forgotten (no-copy: at the formation already)
//	no-freeze 1                                frozen voter spoke
//	install-noquarantine 4                     two leased primaries (scripted: a set without memory of the lease)
//	no-cluster-id 5, no-ban 2                  foreign message; forgotten node came back
//	no-slot-ballot 8                           slot map decided twice
//	no-lives 1                                 twins serve (the copy is heard by one voter, the original by another)
//	no-fence                                   redundant in the asynchronous mode: a primary takes a fence above its own
//	                                           record only in a candidacy, which it enters without a lease or for a BUMP that
//	                                           it decides itself, and without a lease it serves nothing. The fence keeps
//	                                           commits of the strict mode (R1) apart, which this mode has not
//	no-version 73                              two leased primaries (scripted: a voter that left without hearing of it)
//
// # Bugs found (their plans are in testdata)
//
//	CLUSTER RESET SOFT dropped the data and kept the membership · one voter's NACK ended a
//	candidacy that a majority supported, so that two candidates starved each other · a member
//	that had left for another shard was waited for, or could come back with foreign data · a
//	set of 7 voters could not pass through 8 · migration marks outlived a demotion · living
//	voters left the set before dead ones · policy and operator changed the set so often that
//	every voter stayed in quarantine · an INSTALL was changed after it had been sent · a member was
//	refused its own cold start by those who knew it for a member · a replica was refused for being
//	empty when everything had been deleted · a node reset in two clusters in turn came back into
//	the first one's voter set without its memory · a dead voter's successor stood beside it in a set of
//	four, and its own death took the majority away · a slot owner that died before its MEET was
//	answered could not join those who counted on it · a node that had been reset took the slots of
//	its old shard for its own · voters preferred a sibling that did not know it was a member, and never
//	stood · a shard's first record was decided and its primary gone before it heard so: nobody could ask for
//	the shard · slots of a primary that was forgotten before its first record stayed with nobody · a
//	lost answer of a voter was a lost round · a member by a record that only a minority held was refused,
//	by voters without it for having no data, by its own votes for not being in the set that counts · a
//	torn write kept what a sole voter had decided and not that it had accepted it
//
// # Formation under faults (TestFormation)
//
// Machines crash, disks fill and the network breaks from the first moment on, while an operator
// repeats ADDSLOTS, MEET and REPLICATE until all are told. There is never a second first voter set,
// map or record, and once the faults end the cluster forms and converges.
//
// # Scale (T = 2 s, half of the nodes primaries, one replica each; TestScale -sim.scale=N)
//
//	nodes  links  bytes/s/node  msgs/s/node  busiest  formed   served again  one view  FAIL everywhere  memory
//	60     59     20,461        128          199      0.9 s    1,790 ms      1,790 ms  1,890 ms         0.1 GB
//	100    99     9,939         64           302      1.4 s    1,850 ms      1,850 ms  1,890 ms         0.1 GB
//	300    299    11,260        72           874      1.4 s    1,800 ms      1,800 ms  2,080 ms         0.4 GB
//	1,000  999    12,792        81           2,964    2.4 s    1,890 ms      1,910 ms  1,990 ms         3.6 GB
//
// Up to MeshLimit (64) everyone pings everyone; above, a node has log2 N + 4 peers, the voters and its
// shard, so its bytes grow with log N; the busiest are the voters, which hear everybody (PROTOCOL 5).
// The founder keeps the connections that the MEETs made. Idle is a minute after the formation: until
// then its news rides on every ping, six rows each, and at 600 nodes half a minute is not enough. 1,000 nodes
// took 9 minutes of about half a core. Memory is what they know of one another, a million rows;
// state files, which this test does not read, are left out.
// All figures are virtual: links of 0.2-0.5 ms, fsync up to 1 ms.
//
// # What the faults spare
//
// A majority of the voters gone for good, or every holder of a shard's data: nothing can heal
// that by itself. Bits flip in the first half of the state file: a damaged last record cannot
// be told from a torn write, so a disk that corrupts what it has acknowledged can make a voter
// forget one promise. A monotonic clock that stands still (TestFrozenClock shows why it must
// not), and rates beyond cluster-max-clock-drift-ppm.
package sim
