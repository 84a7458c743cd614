// Package containers tests the Dockerfile, deploy/compose and deploy/kubernetes
// without Docker and without a cluster: buildah builds the images, podman and runc run
// them. The files are read with the same libraries that the tools use. The package has
// only tests. It is a module of its own because these libraries have many dependencies.
package containers
