// Package containers verifies the Dockerfile, deploy/compose and
// deploy/kubernetes, without an engine or a cluster: the images are built and run,
// and the files are read by the libraries that the tools themselves read them with.
// It has nothing but tests, and is a module of its own because of what they need.
package containers
