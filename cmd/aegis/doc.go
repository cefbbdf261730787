// Aegis is the command line of the aegis storage engine.
//
//	aegis sim run         simulate random runs of the store and check them
//	aegis sim replay      run a token again and tell what happened
//	aegis sim shrink      find a smaller run that fails in the same way
//	aegis sim regress     write a Go test that replays a token
//	aegis sim profiles    list the disks that can be simulated
//	aegis sim modes       list the workloads that can be simulated
//	aegis sim explore     visit every crash point, or every schedule, of one small run
//	aegis sim scorecard   plant bugs in the engine and see whether the simulator finds them
//	aegis sim prove       show that runs are the same in every process
//	aegis sim hashes      print a hash of each run
//	aegis version         print which build this is
//	aegis help            explain a command
//
// What a command is asked for goes to standard output, what it says about its work to standard
// error.
//
// # Exit codes
//
//	0    all is well
//	1    a run failed, a planted bug was not found, or two processes differ
//	2    the command line is wrong, or a file or program that is needed is not there
//	3    sim run --require-coverage: nothing failed, but a rare path was never taken
//	130  interrupted, with nothing found until then
package main
