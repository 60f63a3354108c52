"""processors/decisions"""
