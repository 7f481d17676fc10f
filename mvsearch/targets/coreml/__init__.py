"""Core ML: conversion anywhere, measurement on a Mac and on a phone attached to one."""
